"""A chosen candidate as the chunks that a streaming server would have sent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

_PIECE = 48  # characters of text in one chunk
DONE = b"data: [DONE]\n\n"


def chat_chunks(
    envelope: Mapping[str, Any], choice: Mapping[str, Any], usage: Any, metadata: Any
) -> Iterator[bytes]:
    """Server-sent events of a chat completion: role, content, tool calls, end, usage, [DONE].

    ``usage`` None: the client did not ask for it. ``metadata`` stands in the last chunk as ``agentq``.
    """
    yield from _events(
        {**_head(envelope), "object": "chat.completion.chunk"}, _chat_parts(choice), usage, metadata
    )


def text_chunks(
    envelope: Mapping[str, Any], choice: Mapping[str, Any], usage: Any, metadata: Any
) -> Iterator[bytes]:
    """As ``chat_chunks``, of a text completion."""
    yield from _events({**_head(envelope), "object": "text_completion"}, _text_parts(choice), usage, metadata)


def _events(
    head: Mapping[str, Any], parts: Iterator[dict[str, Any]], usage: Any, metadata: Any
) -> Iterator[bytes]:
    counted = {} if usage is None else {"usage": None}  # as OpenAI's chunks before the one that counts
    bodies = [{**head, "choices": [part], **counted} for part in parts]
    if usage is not None:
        bodies.append({**head, "choices": [], "usage": usage})
    if metadata is not None:
        bodies[-1]["agentq"] = metadata
    for body in bodies:
        yield b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"
    yield DONE


def _head(envelope: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in envelope.items() if name not in ("usage", "object", "choices")}


def _chat_parts(choice: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    message: Mapping[str, Any] = choice.get("message") or {}
    yield _delta({"role": message.get("role") or "assistant", "content": ""})
    for name, value in message.items():  # reasoning, refusal and what else a server adds
        if name not in ("role", "content", "tool_calls") and value not in (None, [], {}):
            yield _delta({name: value})
    for piece, logprobs in _content(choice, message.get("content")):
        yield _delta({"content": piece}, logprobs)
    for index, call in enumerate(message.get("tool_calls") or ()):
        yield from _call(index, call)
    rest = {name: value for name, value in choice.items() if name not in ("message", "logprobs", "index")}
    yield {**_delta({}), **rest}


def _text_parts(choice: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    text = choice.get("text") or ""
    logprobs = choice.get("logprobs")
    pieces = (
        [text] if logprobs is not None else list(_pieces(text))
    )  # offsets in it count from the text's start
    for piece in pieces:
        yield {"index": 0, "text": piece, "logprobs": logprobs, "finish_reason": None}
    rest = {name: value for name, value in choice.items() if name not in ("text", "logprobs", "index")}
    yield {"index": 0, "text": "", "logprobs": None, "finish_reason": None, **rest}


def _content(choice: Mapping[str, Any], content: Any) -> Iterator[tuple[Any, Any]]:
    """Pieces of the content with the log-probabilities of their tokens."""
    logprobs = choice.get("logprobs")
    if not isinstance(content, str) or not content:
        return
    if not logprobs:
        yield from ((piece, None) for piece in _pieces(content))
        return
    tokens = logprobs.get("content") or ()
    if "".join(str(token.get("token", "")) for token in tokens) == content:
        for token in tokens:
            yield token["token"], {**logprobs, "content": [token]}
    else:  # special tokens or halves of characters: the pieces cannot be told apart
        yield content, logprobs


def _call(index: int, call: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    function: Mapping[str, Any] = call.get("function") or {}
    arguments = function.get("arguments") or ""
    begun = {**call, "index": index, "function": {**function, "arguments": ""}}
    yield _delta({"tool_calls": [begun]})
    for piece in _pieces(arguments):
        yield _delta({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})


def _delta(delta: Mapping[str, Any], logprobs: Any = None) -> dict[str, Any]:
    return {"index": 0, "delta": dict(delta), "logprobs": logprobs, "finish_reason": None}


def _pieces(text: str) -> Iterator[str]:
    return (text[start : start + _PIECE] for start in range(0, len(text), _PIECE))
