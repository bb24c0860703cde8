"""Chat models of LangChain, alone or under an agent of LangGraph: invoke, stream, batch and their async forms."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from agentq.policies.openai.candidates import candidate_of_choice
from agentq.types import Candidate
from agentq.verification import with_note
from agentq.wrapping.asking import Asker, AsyncRequest, Replies, Request
from agentq.wrapping.chunks import words
from agentq.wrapping.dispatch import unsupported
from agentq.wrapping.guide import Choice, Guide
from agentq.wrapping.guided import Guided, missing_extra
from agentq.wrapping.rounds import ask_and_choose, ask_and_choose_async

try:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage
    from langchain_core.messages.ai import add_usage
    from langchain_core.messages.utils import convert_to_openai_messages
    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
    from langchain_core.runnables import Runnable, RunnableBinding
except ImportError as error:
    raise missing_extra("langchain", error) from error

_CUT_OFF = ("length", "max_tokens")  # how providers call an end by the token limit


def wrap(agent: object, guide: Guide) -> Any:
    """A guided chat model; one with bound tools keeps them. None for what is no Runnable.

    Raises ``ConfigError`` for chains and graphs, whose parts are not told apart from outside.
    """
    if isinstance(agent, BaseChatModel):
        model = GuidedChatModel(inner=agent, cache=False, profile=agent.profile)  # pyright: ignore[reportCallIssue] - private attributes
        model.guide_by(guide)
        return model
    if isinstance(agent, RunnableBinding) and isinstance(agent.bound, BaseChatModel):
        return agent.model_copy(update={"bound": wrap(agent.bound, guide)})
    if isinstance(agent, Runnable):
        raise unsupported(
            agent, "wrap the chat model inside it, and build the chain or graph on the wrapped model"
        )
    return None


class GuidedChatModel(Guided, BaseChatModel):
    """A chat model whose message is the best of n messages of ``inner``.

    Callbacks and traces of the caller see the chosen message alone; the candidates are requests of
    ``inner``, outside the caller's run, so that none of them leaks into a stream of messages.
    """

    inner: BaseChatModel
    _guide: Guide
    _asker: Asker

    @property
    def guide(self) -> Guide:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What chooses."""
        return self._guide

    def guide_by(self, guide: Guide) -> None:
        """Set the guide. Whether n goes into one request is known from the model's options, else found out."""
        self._guide = guide
        self._asker = Asker("n" in type(self.inner).model_fields, guide.parallel)

    def bind_tools(self, tools: Sequence[Any], **options: Any) -> Runnable[Any, AIMessage]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The guided model with tools, described as ``inner`` describes them."""
        bound = self.inner.bind_tools(tools, **options)
        if not isinstance(bound, RunnableBinding) or bound.bound is not self.inner:
            raise unsupported(self.inner, "its bind_tools returns another kind of Runnable than a binding")
        return self.bind(**bound.kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        n, options = self._asked(kwargs)

        def asking(note: str | None) -> Request[_Reply]:
            given = _noted(messages, note)
            return lambda count, first: _replies(
                self.inner.generate([given], stop=stop, **self._numbered(options, count, first))
            )

        return _result(*ask_and_choose(self.guide, self._asker, _chat(messages), asking, self._candidates, n))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        n, options = self._asked(kwargs)

        def asking(note: str | None) -> AsyncRequest[_Reply]:
            given = _noted(messages, note)

            async def request(count: int, first: int) -> Sequence[_Reply]:
                numbered = self._numbered(options, count, first)
                return _replies(await self.inner.agenerate([given], stop=stop, **numbered))

            return request

        found = await ask_and_choose_async(
            self.guide, self._asker, _chat(messages), asking, self._candidates, n
        )
        return _result(*found)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        yield from _chunks(self._generate(messages, stop, **kwargs).generations[0])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in _chunks((await self._agenerate(messages, stop, **kwargs)).generations[0]):
            yield chunk

    def _asked(self, kwargs: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """How many candidates, and the options of a request."""
        options = {**kwargs, **self.guide.sampling}
        options.pop("stream", None)
        if getattr(self.inner, "streaming", False):
            options["stream"] = False  # a whole message is needed, whatever the model does by itself
        temperature = options.get("temperature", getattr(self.inner, "temperature", None))
        return self.guide.wanted(temperature), options

    def _numbered(self, options: dict[str, Any], count: int, first: int) -> dict[str, Any]:
        seed = options.get("seed", getattr(self.inner, "seed", None))
        more: dict[str, Any] = {"n": count} if count > 1 else {}
        if first and isinstance(seed, int):
            more["seed"] = seed + first
        return {**options, **more}

    def _candidates(self, replies: Replies[_Reply]) -> list[Candidate]:
        parser: Callable[[str], str | None] | None = self.guide.parser
        return [candidate_of_choice(_choice(reply.generation), parser) for reply in replies.items]

    @property
    def _llm_type(self) -> str:
        return f"agentq-guided-{self.inner._llm_type}"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {**self.inner._identifying_params, "agentq_n": self.guide.n}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return self.inner._get_ls_params(stop=stop, **kwargs)


class _Reply:
    """One generation with the usage of the request that it came in."""

    def __init__(self, generation: ChatGeneration, request: object, usage: Any) -> None:
        self.generation = generation
        self.request = request
        self.usage = usage


def _replies(result: Any) -> list[_Reply]:
    generations = result.generations[0]
    usage = getattr(generations[0].message, "usage_metadata", None) if generations else None
    return [_Reply(generation, result, usage) for generation in generations]


def _result(replies: Replies[_Reply], choice: Choice) -> ChatResult:
    chosen = replies.items[choice.index]
    requests = {id(reply.request): reply.usage for reply in replies.items}
    message = chosen.generation.message
    if len(requests) > 1 and isinstance(message, AIMessage):
        total = None
        for usage in requests.values():
            total = add_usage(total, usage)
        message.usage_metadata = total
    return ChatResult(generations=[chosen.generation], llm_output=chosen.request.llm_output or {})  # pyright: ignore[reportAttributeAccessIssue]


def _chat(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """LangChain's messages as chat messages."""
    return list(convert_to_openai_messages(list(messages)))  # pyright: ignore[reportArgumentType]


def _noted(messages: list[BaseMessage], note: str | None) -> list[BaseMessage]:
    """Messages with a note behind them, in the person's last one where it is the last."""
    if note is None:
        return messages
    last = messages[-1] if messages else None
    if not isinstance(last, HumanMessage):
        return [*messages, HumanMessage(note)]
    (noted,) = with_note([{"role": "user", "content": last.content}], note)
    return [*messages[:-1], last.model_copy(update={"content": noted["content"]})]


def _choice(generation: ChatGeneration) -> dict[str, Any]:
    """A generation in the form of a chat completion's choice."""
    message = generation.message
    calls: list[dict[str, Any]] = []
    if isinstance(message, AIMessage):
        made = [*message.tool_calls, *message.invalid_tool_calls]
        calls = [{"function": {"name": call["name"], "arguments": call["args"]}} for call in made]
    about = {**(generation.generation_info or {}), **message.response_metadata}
    finish = about.get("finish_reason") or about.get("stop_reason") or about.get("done_reason")
    return {
        "message": {"content": str(message.text), "tool_calls": calls},
        "finish_reason": "length" if finish in _CUT_OFF else finish,
        "logprobs": about.get("logprobs") if isinstance(about.get("logprobs"), dict) else None,
    }


def _chunks(generation: ChatGeneration) -> Iterator[ChatGenerationChunk]:
    """A message as the chunks of a stream, by words; tool calls, usage and metadata in the last one."""
    message = generation.message
    content = message.content
    pieces = words(content) if isinstance(content, str) else [content] if content else []
    for piece in pieces:
        yield ChatGenerationChunk(message=AIMessageChunk(content=piece, id=message.id))
    made = isinstance(message, AIMessage)
    last = AIMessageChunk(
        content="" if isinstance(content, str) else [],
        id=message.id,
        additional_kwargs=message.additional_kwargs,
        response_metadata=message.response_metadata,
        usage_metadata=message.usage_metadata if made else None,
        tool_call_chunks=_call_chunks(message) if made else [],
        chunk_position="last",
    )
    yield ChatGenerationChunk(message=last, generation_info=generation.generation_info)


def _call_chunks(message: AIMessage) -> list[Any]:
    made = [*message.tool_calls, *message.invalid_tool_calls]
    return [
        {
            "type": "tool_call_chunk",
            "name": call["name"],
            "args": call["args"] if isinstance(call["args"], str) else json.dumps(call["args"]),
            "id": call["id"],
            "index": index,
        }
        for index, call in enumerate(made)
    ]
