"""Clients of the package openai: ``chat.completions`` is guided, everything else is the client's own.

The guided client is of a subclass of the client's class and shares its connections, so it goes wherever an
``OpenAI`` or ``AsyncOpenAI`` goes. ``create``, ``parse`` and ``stream`` ask for n choices in one request;
a server that refuses or ignores ``n`` is asked n times from then on.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from agentq.policies.openai.candidates import candidate_of_choice
from agentq.types import Candidate
from agentq.verification import with_note
from agentq.wrapping.asking import Asker, AsyncRequest, Replies, Request
from agentq.wrapping.chunks import event_stream
from agentq.wrapping.guide import Choice, Guide
from agentq.wrapping.guided import Guided, missing_extra
from agentq.wrapping.rounds import ask_and_choose, ask_and_choose_async

try:
    import openai
    from openai import AsyncOpenAI, AsyncStream, OpenAI, Stream
    from openai.lib._parsing import (
        parse_chat_completion,
        type_to_response_format_param,
        validate_input_tools,
    )
    from openai.resources.chat.chat import AsyncChat, Chat
    from openai.resources.chat.completions import AsyncCompletions, Completions
    from openai.types.chat import ChatCompletion, ChatCompletionChunk
except ImportError as error:
    raise missing_extra("openai", error) from error

_RAW = "x-stainless-raw-response"  # the header by which with_raw_response and its kin mark a call


def wrap(agent: object, guide: Guide) -> Any:
    """A guided copy of a client; None for other objects of the package."""
    if not isinstance(agent, OpenAI | AsyncOpenAI):
        return None
    mixin = _GuidedClient if isinstance(agent, OpenAI) else _GuidedAsyncClient
    cls = _guided_class(mixin, type(agent))
    client = object.__new__(cls)
    # A second client on the same connections: the one handed in stays as it was.
    own = {name: value for name, value in vars(agent).items() if name not in _BOUND}
    client.__dict__.update(own, guide=guide, asker=Asker(together=True, parallel=guide.parallel))
    return client


#: Cached attributes of a client that hold the client itself and lead to chat completions.
_BOUND = frozenset({"chat", "with_raw_response", "with_streaming_response"})


@functools.cache
def _guided_class(mixin: type[Any], cls: type[Any]) -> type[Any]:
    return type(f"Guided{cls.__name__}", (mixin, cls), {"__module__": cls.__module__})


class _Copied(Guided):
    """A client whose copies with other options are guided too."""

    asker: Asker

    def copy(self, **options: Any) -> Any:
        """The client with other options, as in the package."""
        client = super().copy(**options)  # pyright: ignore[reportAttributeAccessIssue]
        client.guide, client.asker = self.guide, self.asker
        return client

    with_options = copy


class _GuidedClient(_Copied):
    @cached_property
    def chat(self) -> Chat:
        """Chat completions, guided."""
        return _GuidedChat(self)  # pyright: ignore[reportArgumentType]


class _GuidedAsyncClient(_Copied):
    @cached_property
    def chat(self) -> AsyncChat:
        """Chat completions, guided."""
        return _GuidedAsyncChat(self)  # pyright: ignore[reportArgumentType]


class _GuidedChat(Chat):
    @cached_property
    def completions(self) -> Completions:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _GuidedCompletions(self._client)


class _GuidedAsyncChat(AsyncChat):
    @cached_property
    def completions(self) -> AsyncCompletions:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _GuidedAsyncCompletions(self._client)


class _Reply:
    """One choice with the response that it came in."""

    def __init__(self, raw: Any, completion: ChatCompletion, position: int) -> None:
        self.raw = raw
        self.completion = completion
        self.choice = completion.choices[position]


class _Call:
    """One guided call: what is asked, and what becomes of the replies."""

    def __init__(self, guide: Guide, options: Mapping[str, Any]) -> None:
        self.guide = guide
        self.options: dict[str, Any] = {**options, **guide.sampling}
        # An iterator of messages would be empty for the second request.
        self.messages: list[Any] = [_plain(message) for message in self.options["messages"]]
        self.options["messages"] = self.messages
        self.streams = self.options.pop("stream", None) is True
        stream_options = self.options.pop("stream_options", None)
        self.include_usage = isinstance(stream_options, Mapping) and bool(stream_options.get("include_usage"))
        temperature = self.options.get("temperature")
        self.n = guide.wanted(float(temperature) if isinstance(temperature, int | float) else None)

    def numbered(self, n: int, first: int, note: str | None) -> dict[str, Any]:
        """The options of the request for n replies; single requests with a seed get one each."""
        options = {**self.options, "n": n} if n > 1 else dict(self.options)
        if note is not None:
            options["messages"] = with_note(self.messages, note)
        if first and isinstance(options.get("seed"), int):
            options["seed"] += first
        return options

    def candidates(self, replies: Replies[_Reply]) -> list[Candidate]:
        return [candidate_of_choice(reply.choice.model_dump(), self.guide.parser) for reply in replies.items]

    def chosen(self, replies: Replies[_Reply], choice: Choice) -> _Reply:
        """The chosen reply, alone in its completion, with the usage of all requests."""
        reply = replies.items[choice.index]
        completions = list({id(item.completion): item.completion for item in replies.items}.values())
        reply.choice.index = 0
        reply.completion.choices = [reply.choice]
        _sum_usage(reply.completion, completions)
        return reply

    def answer(self, reply: _Reply, client: Any, stream_type: type[Any]) -> Any:
        """The completion, or a stream of its chunks."""
        if not self.streams:
            return reply.completion
        received = reply.raw.http_response
        # A real stream over bytes in memory: the package's own decoder makes the chunks.
        response = type(received)(
            200,
            headers={"content-type": "text/event-stream"},
            content=event_stream(reply.completion.model_dump(mode="json"), self.include_usage),
            request=received.request,
        )
        return stream_type(cast_to=ChatCompletionChunk, response=response, client=client)


class _GuidedCompletions(Completions):
    """``client.chat.completions`` with the best of n choices in place of the first."""

    def create(self, **options: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """As in the package; ``n`` above 1 asks for choices of one's own and passes through unguided."""
        plain, guide = Completions(self._client), self._client.guide  # pyright: ignore[reportAttributeAccessIssue]
        kind = _raw_kind(options)
        if _passes(options, kind, guide):
            return plain.create(**options)
        call = _Call(guide, options)

        def asking(note: str | None) -> Request[_Reply]:
            return lambda n, first: _replies(plain.with_raw_response.create(**call.numbered(n, first, note)))

        asker: Asker = self._client.asker  # pyright: ignore[reportAttributeAccessIssue]
        replies, choice = ask_and_choose(guide, asker, call.messages, asking, call.candidates, call.n)
        reply = call.chosen(replies, choice)
        answer = call.answer(reply, self._client, Stream)
        return _RawReply(reply.raw, answer) if kind else answer

    def parse(self, **options: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """As in the package: the chosen choice parsed into ``response_format``."""
        tools, given = validate_input_tools(options.get("tools", openai.omit)), _parse_options(options)
        answer = self.create(**given)
        return _parsed(answer, options.get("response_format", openai.omit), tools)


class _GuidedAsyncCompletions(AsyncCompletions):
    """The same for ``AsyncOpenAI``; single requests run concurrently."""

    async def create(self, **options: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """As in the package; ``n`` above 1 asks for choices of one's own and passes through unguided."""
        plain, guide = AsyncCompletions(self._client), self._client.guide  # pyright: ignore[reportAttributeAccessIssue]
        kind = _raw_kind(options)
        if _passes(options, kind, guide):
            return await plain.create(**options)
        call = _Call(guide, options)

        def asking(note: str | None) -> AsyncRequest[_Reply]:
            async def request(n: int, first: int) -> Sequence[_Reply]:
                return _replies(await plain.with_raw_response.create(**call.numbered(n, first, note)))

            return request

        asker: Asker = self._client.asker  # pyright: ignore[reportAttributeAccessIssue]
        replies, choice = await ask_and_choose_async(
            guide, asker, call.messages, asking, call.candidates, call.n
        )
        reply = call.chosen(replies, choice)
        answer = call.answer(reply, self._client, AsyncStream)
        return _RawReply(reply.raw, answer) if kind else answer

    async def parse(self, **options: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """As in the package: the chosen choice parsed into ``response_format``."""
        tools, given = validate_input_tools(options.get("tools", openai.omit)), _parse_options(options)
        answer = await self.create(**given)
        return _parsed(answer, options.get("response_format", openai.omit), tools)


class _RawReply:
    """The raw response of ``with_raw_response`` whose ``parse`` gives the chosen choice alone."""

    def __init__(self, raw: Any, answer: Any) -> None:
        self._raw = raw
        self._answer = answer

    def parse(self) -> Any:
        """The guided answer."""
        return self._answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def _replies(raw: Any) -> list[_Reply]:
    completion = raw.parse()
    return [_Reply(raw, completion, position) for position in range(len(completion.choices or ()))]


def _raw_kind(options: dict[str, Any]) -> str:
    """``true`` or ``stream`` for calls through with_raw_response or with_streaming_response; taken out."""
    headers: Mapping[str, str] = options.get("extra_headers") or {}
    return next((str(value) for name, value in headers.items() if name.lower() == _RAW), "")


def _passes(options: dict[str, Any], kind: str, guide: Guide) -> bool:
    """Whether a call goes through unguided: the caller wants several choices, or the bytes themselves."""
    n = options.get("n")
    if (isinstance(n, int) and n > 1) or kind == "stream":
        guide.statistics.unguided += 1
        return True
    if kind:
        headers = options["extra_headers"]
        options["extra_headers"] = {k: v for k, v in headers.items() if k.lower() != _RAW}
    return False


def _plain(message: Any) -> Any:
    """A message as a dictionary: the package also takes the objects that it returned."""
    return message.model_dump(exclude_unset=True) if hasattr(message, "model_dump") else message


def _sum_usage(completion: ChatCompletion, completions: Sequence[ChatCompletion]) -> None:
    usages = [item.usage for item in completions if item.usage is not None]
    if completion.usage is None or len(usages) < 2:
        return
    completion.usage = completion.usage.model_copy(
        update={
            name: sum(getattr(usage, name) for usage in usages)
            for name in ("prompt_tokens", "completion_tokens", "total_tokens")
        }
    )


def _parse_options(options: Mapping[str, Any]) -> dict[str, Any]:
    given = type_to_response_format_param(options.get("response_format", openai.omit))
    headers = {"X-Stainless-Helper-Method": "chat.completions.parse", **(options.get("extra_headers") or {})}
    return {**options, "response_format": given, "extra_headers": headers}


def _parsed(answer: Any, response_format: Any, tools: Any) -> Any:
    completion = answer.parse() if isinstance(answer, _RawReply) else answer
    # Only what was chosen is parsed: a candidate that is cut off or no JSON raises only when it goes through.
    parsed = parse_chat_completion(
        response_format=response_format, input_tools=tools, chat_completion=completion
    )
    return _RawReply(answer._raw, parsed) if isinstance(answer, _RawReply) else parsed
