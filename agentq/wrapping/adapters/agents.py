"""Models of the OpenAI Agents SDK, for ``Agent(model=...)`` and ``Runner.run`` with tools and handoffs.

A model of the SDK gives one response per call, so it is called n times at once. A cheaper way for chat
completions is to wrap the client: ``OpenAIChatCompletionsModel(name, openai_client=wrap(AsyncOpenAI()))``
sends one request with n.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from agentq.policies.openai.candidates import candidate_of_choice, text_of_content
from agentq.types import Candidate
from agentq.wrapping.asking import Asker, AsyncRequest, Replies
from agentq.wrapping.dispatch import unsupported
from agentq.wrapping.guide import Choice, Guide
from agentq.wrapping.guided import Guided, missing_extra
from agentq.wrapping.rounds import ask_and_choose_async

_BASE = ("agents.models.interface", "Model")
_AGENT = ("agents.agent", "Agent")

# Many projects have a package called agents: only the SDK's has these classes, and only then is it imported.


def wrap(agent: object, guide: Guide) -> Any:
    """A guided model; None for what is not the SDK's. Raises ``ConfigError`` for an Agent, with advice."""
    names = {(cls.__module__, cls.__qualname__) for cls in inspect.getmro(type(agent))}
    if _AGENT in names:
        raise unsupported(agent, "wrap its model and give it back: agent.clone(model=wrap(model, ...))")
    return _guided_model_class()(agent, guide) if _BASE in names else None


class _Guided(Guided):
    """The methods of the guided model; ``Model`` of the SDK is its second base."""

    def __init__(self, inner: Any, guide: Guide) -> None:
        self.inner = inner
        self.guide = guide
        self._asker = Asker(together=False)

    async def get_response(
        self,
        system_instructions: str | None,
        input: Any,
        model_settings: Any,
        *arguments: Any,
        **options: Any,
    ) -> Any:
        """The best of n responses of ``inner``, with the usage of all."""
        settings = _sampled(model_settings, self.guide.sampling)

        def asking(note: str | None) -> AsyncRequest[Any]:
            given = _noted(input, note)

            async def request(count: int, first: int) -> Sequence[Any]:
                seeded = _seeded(settings, first)
                return [
                    await self.inner.get_response(system_instructions, given, seeded, *arguments, **options)
                ]

            return request

        messages = chat_messages(system_instructions, input)
        n = self.guide.wanted(settings.temperature)
        found = await ask_and_choose_async(self.guide, self._asker, messages, asking, self._candidates, n)
        return _chosen(*found)

    def _candidates(self, replies: Replies[Any]) -> list[Candidate]:
        return [_candidate(reply, self.guide) for reply in replies.items]

    async def stream_response(
        self,
        system_instructions: str | None,
        input: Any,
        model_settings: Any,
        *arguments: Any,
        **options: Any,
    ) -> AsyncIterator[Any]:
        """The chosen response as the events of a stream."""
        from agentq.wrapping.response_events import events_of

        started = time.time()
        response = await self.get_response(system_instructions, input, model_settings, *arguments, **options)
        name = str(getattr(self.inner, "model", "") or "guided")
        for event in events_of(response, name, started):
            yield event

    async def close(self) -> None:
        """Close ``inner``."""
        await self.inner.close()

    def get_retry_advice(self, request: Any) -> Any:
        """The advice of ``inner``."""
        return self.inner.get_retry_advice(request)

    def __getattr__(self, name: str) -> Any:
        if name == "inner":  # not yet set, e.g. while being copied
            raise AttributeError(name)
        return getattr(self.inner, name)


@functools.cache
def _guided_model_class() -> type[Any]:
    try:
        from agents.models.interface import Model
    except ImportError as error:
        raise missing_extra("openai-agents", error) from error

    methods = {"__doc__": "A model whose response is the best of n.", "__module__": __name__}
    return type("GuidedModel", (_Guided, Model), methods)


def chat_messages(system: str | None, given: str | Sequence[Any]) -> list[dict[str, Any]]:
    """The SDK's input items (those of the Responses API) as chat messages; reasoning is left out."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    if isinstance(given, str):
        return [*messages, {"role": "user", "content": given}]
    for item in given:
        kind = item.get("type", "message")
        if kind == "message":
            messages.append({"role": item["role"], "content": text_of_content(item.get("content"))})
        elif kind == "function_call":
            calls = [{"function": {"name": item["name"], "arguments": item["arguments"]}}]
            messages.append({"role": "assistant", "content": "", "tool_calls": calls})
        elif str(kind).endswith("_output"):
            output = item.get("output")
            text = json.dumps(output, default=str) if isinstance(output, Mapping) else text_of_content(output)
            messages.append({"role": "tool", "content": text})
        elif kind != "reasoning":
            messages.append({"role": "assistant", "content": "", "tool_calls": [_call(item)]})
    return messages


def _noted(given: str | Sequence[Any], note: str | None) -> Any:
    """The SDK's input with a note behind it."""
    if note is None:
        return given
    return f"{given}\n\n{note}" if isinstance(given, str) else [*given, {"role": "user", "content": note}]


def _candidate(response: Any, guide: Guide) -> Candidate:
    """Messages are the text; function calls, and calls of the service's own tools, are the actions."""
    texts: list[str] = []
    calls: list[dict[str, Any]] = []
    tokens: list[Any] = []
    for item in response.output:
        fields = item if isinstance(item, Mapping) else item.model_dump()
        kind = fields.get("type")
        if kind == "message":
            texts.append(text_of_content(fields.get("content")))
            tokens += [token for part in fields["content"] for token in part.get("logprobs") or ()]
        elif kind != "reasoning":
            calls.append(_call(fields))
    message = {"content": "\n".join(texts), "tool_calls": calls}
    return candidate_of_choice({"message": message, "logprobs": {"content": tokens}}, guide.parser)


def _call(item: Mapping[str, Any]) -> dict[str, Any]:
    """An output item as a tool call; of a tool without a name everything but ids is its arguments."""
    if item.get("type") == "function_call":
        return {"function": {"name": item["name"], "arguments": item["arguments"]}}
    left_out = {"id", "call_id", "status", "type"}
    arguments = {name: value for name, value in item.items() if name not in left_out and value is not None}
    return {"function": {"name": str(item.get("type")), "arguments": json.dumps(arguments, default=str)}}


def _chosen(replies: Replies[Any], choice: Choice) -> Any:
    chosen = replies.items[choice.index]
    usage = type(chosen.usage)()
    for reply in replies.items:
        usage.add(reply.usage)
    # Items of services without ids share a placeholder; a call must be told apart from those not chosen.
    for item in chosen.output:
        if getattr(item, "type", None) == "function_call" and not item.call_id:
            item.call_id = f"call_{uuid.uuid4().hex}"
    chosen.usage = usage
    return chosen


def _sampled(settings: Any, sampling: Mapping[str, Any]) -> Any:
    """Model settings with the sampling overrides; those that are no setting go into ``extra_args``."""
    known = {field.name for field in dataclasses.fields(settings)}
    own = {name: value for name, value in sampling.items() if name in known}
    more = {name: value for name, value in sampling.items() if name not in known}
    if more:
        own["extra_args"] = {**(settings.extra_args or {}), **more}
    return dataclasses.replace(settings, **own) if own else settings


def _seeded(settings: Any, first: int) -> Any:
    """A seed in ``extra_args`` differs between candidates, which would otherwise be one and the same."""
    seed = (settings.extra_args or {}).get("seed")
    if not first or not isinstance(seed, int):
        return settings
    return dataclasses.replace(settings, extra_args={**settings.extra_args, "seed": seed + first})
