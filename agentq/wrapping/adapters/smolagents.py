"""Models of smolagents, for ToolCallingAgent and CodeAgent: ``generate``, ``generate_stream`` and calling the model."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from agentq.policies.openai.candidates import candidate_of_choice, text_of_content
from agentq.types import Candidate
from agentq.verification import with_note
from agentq.wrapping.asking import Asker, Replies, Request
from agentq.wrapping.chunks import words
from agentq.wrapping.dispatch import unsupported
from agentq.wrapping.guide import Choice, Guide
from agentq.wrapping.guided import Guided, missing_extra
from agentq.wrapping.rounds import ask_and_choose

try:
    from smolagents import models
    from smolagents.models import ChatMessage, LiteLLMModel, MessageRole, Model, OpenAIModel
    from smolagents.monitoring import TokenUsage
except ImportError as error:
    raise missing_extra("smolagents", error) from error


def wrap(agent: object, guide: Guide) -> Any:
    """A guided model; None for other objects. Raises ``ConfigError`` for an agent, with advice."""
    if isinstance(agent, Model):
        return GuidedModel(agent, guide)
    if hasattr(agent, "model") and hasattr(agent, "run"):
        raise unsupported(agent, "wrap its model: agent.model = wrap(agent.model, ...)")
    return None


class GuidedModel(Guided, Model):
    """A model whose message is the best of n messages of ``inner``.

    OpenAI-compatible and LiteLLM services get one request with n where they take it; other models are called
    n times and must sample (``do_sample=True`` for transformers).
    """

    def __init__(self, inner: Any, guide: Guide) -> None:
        self.inner = inner
        self.guide = guide
        self._asker = Asker(isinstance(inner, OpenAIModel | LiteLLMModel), guide.parallel)
        super().__init__(
            flatten_messages_as_text=inner.flatten_messages_as_text,
            tool_name_key=inner.tool_name_key,
            tool_arguments_key=inner.tool_arguments_key,
            model_id=inner.model_id,
            **inner.kwargs,
        )

    def generate(
        self,
        messages: list[Any],
        stop_sequences: list[str] | None = None,
        response_format: dict[str, str] | None = None,
        tools_to_call_from: list[Any] | None = None,
        **kwargs: Any,
    ) -> ChatMessage:
        """The best message, with the token usage of all requests."""
        options = {**kwargs, **self.guide.sampling}
        defaults: Mapping[str, Any] = self.inner.kwargs

        def request(given: list[Any], count: int, first: int) -> Sequence[ChatMessage]:
            more: dict[str, Any] = {"n": count} if count > 1 else {}
            seed = options.get("seed", defaults.get("seed"))
            if first and isinstance(seed, int):
                more["seed"] = seed + first
            message = _with(self.inner, {**self.guide.sampling, **more}).generate(
                given,
                stop_sequences=stop_sequences,
                response_format=response_format,
                tools_to_call_from=tools_to_call_from,
                **{**options, **more},
            )
            return _messages(message, None if self.inner.supports_stop_parameter else stop_sequences)

        temperature = {**kwargs, **defaults, **self.guide.sampling}.get("temperature")

        def asking(note: str | None) -> Request[ChatMessage]:
            return partial(request, messages if note is None else _noted(messages, note))

        def reading(replies: Replies[ChatMessage]) -> list[Candidate]:
            return [self._candidate(reply, bool(tools_to_call_from)) for reply in replies.items]

        chat = [chat_message(message) for message in messages]
        n = self.guide.wanted(temperature)
        return _chosen(*ask_and_choose(self.guide, self._asker, chat, asking, reading, n))

    def generate_stream(self, messages: list[Any], *arguments: Any, **kwargs: Any) -> Iterator[Any]:
        """The chosen message as deltas: the text by words, the tool calls, the usage."""
        message = self.generate(messages, *arguments, **kwargs)
        for word in words(text_of_content(message.content)):
            yield models.ChatMessageStreamDelta(content=word)
        for index, call in enumerate(message.tool_calls or ()):
            arguments_text = call.function.arguments
            if not isinstance(arguments_text, str):
                arguments_text = json.dumps(arguments_text)
            function = models.ChatMessageToolCallFunction(name=call.function.name, arguments=arguments_text)
            delta = models.ChatMessageToolCallStreamDelta(index, call.id, call.type, function)
            yield models.ChatMessageStreamDelta(content="", tool_calls=[delta])
        yield models.ChatMessageStreamDelta(content="", token_usage=message.token_usage)

    def parse_tool_calls(self, message: ChatMessage) -> ChatMessage:
        """As ``inner`` does it."""
        return self.inner.parse_tool_calls(message)

    @property
    def supports_stop_parameter(self) -> bool:
        """That of ``inner``."""
        return self.inner.supports_stop_parameter

    def to_dict(self) -> dict[str, Any]:
        """That of ``inner``: a saved agent is saved without its critic."""
        return self.inner.to_dict()

    def _candidate(self, message: ChatMessage, calls_tools: bool) -> Candidate:
        text = text_of_content(message.content)
        if calls_tools and not message.tool_calls and text.strip() and self.guide.parser is None:
            try:
                message = self.inner.parse_tool_calls(copy.copy(message))
            # The agent would fail at this text in the same way: that is what makes it a bad candidate.
            except Exception as error:  # noqa: BLE001 - a model's own parser raises what it likes
                return Candidate(text, None, f"no tool call in the reply: {error}")
        return candidate_of_choice(
            {
                "message": {"content": text, "tool_calls": _calls(message)},
                "finish_reason": _finish(message.raw),
                "logprobs": _logprobs(message.raw),
            },
            self.guide.parser,
        )


def _with(inner: Any, overrides: Mapping[str, Any]) -> Any:
    """``inner`` with other defaults, which win over the options of a call; it shares client and weights."""
    won = {name: value for name, value in overrides.items() if name in inner.kwargs}
    if not won:
        return inner
    other = copy.copy(inner)
    other.kwargs = {**inner.kwargs, **won}
    return other


def chat_message(message: Any) -> dict[str, Any]:
    """A message of smolagents as a chat message; results of tools are the tool's."""
    if isinstance(message, Mapping):
        message = ChatMessage.from_dict(dict(message))
    role = str(getattr(message.role, "value", message.role))
    names = {"tool-call": "assistant", "tool-response": "tool"}
    return {
        "role": names.get(role, role),
        "content": text_of_content(message.content),
        "tool_calls": _calls(message),
    }


def _noted(messages: Sequence[Any], note: str) -> list[Any]:
    """Messages with a note behind them; smolagents cannot join a text with parts, so a user's text grows itself."""
    last = messages[-1] if messages else {}
    about = last if isinstance(last, Mapping) else vars(last)
    role = getattr(about.get("role"), "value", about.get("role"))
    if role != "user":
        return [*messages, ChatMessage(MessageRole.USER, [{"type": "text", "text": note}])]
    (noted,) = with_note([{"role": role, "content": about.get("content")}], note)
    return [*messages[:-1], ChatMessage(MessageRole.USER, noted["content"])]


def _calls(message: ChatMessage) -> list[dict[str, Any]]:
    return [
        {"function": {"name": call.function.name, "arguments": call.function.arguments}}
        for call in message.tool_calls or ()
    ]


def _messages(message: ChatMessage, stop: list[str] | None) -> list[ChatMessage]:
    """One message per choice of the response behind ``message``; the usage stays with the first."""
    response: Any = message.raw
    choices = _choices(response)
    if len(choices) < 2:
        return [message]
    others: list[ChatMessage] = []
    for choice in choices[1:]:
        raw = copy.copy(response)
        raw.choices = [choice]
        content = models.remove_content_after_stop_sequences(choice.message.content, stop)
        calls = choice.message.tool_calls
        others.append(ChatMessage(message.role, content, calls, raw=raw, token_usage=None))
    first = copy.copy(response)
    first.choices = [choices[0]]
    message.raw = first
    return [message, *others]


def _chosen(replies: Replies[ChatMessage], choice: Choice) -> ChatMessage:
    chosen = replies.items[choice.index]
    usages = [reply.token_usage for reply in replies.items if reply.token_usage is not None]
    if usages:
        chosen.token_usage = TokenUsage(
            input_tokens=sum(usage.input_tokens for usage in usages),
            output_tokens=sum(usage.output_tokens for usage in usages),
        )
    return chosen


def _choices(raw: Any) -> Sequence[Any]:
    """The choices of an OpenAI-like response, none of any other."""
    return getattr(raw, "choices", None) or ()


def _finish(raw: Any) -> str | None:
    choices = _choices(raw)
    return getattr(choices[0], "finish_reason", None) if choices else None


def _logprobs(raw: Any) -> dict[str, Any] | None:
    choices = _choices(raw)
    found: Any = getattr(choices[0], "logprobs", None) if choices else None
    return found.model_dump() if hasattr(found, "model_dump") else None
