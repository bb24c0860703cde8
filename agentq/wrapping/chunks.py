"""A finished chat completion as the chunks of a stream: what a caller that asked for a stream gets to read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_WORD = re.compile(r"\s*\S+|\s+")


def words(text: str) -> list[str]:
    """``text`` in pieces of a word each, white space before it; joined they are the text."""
    return _WORD.findall(text)


def chunks_of(completion: Mapping[str, Any], include_usage: bool = False) -> Iterator[dict[str, Any]]:
    """``chat.completion.chunk`` objects of a completion with one choice, in the order of a server.

    The role first, the text by tokens where log-probabilities name them and by words elsewhere, every tool
    call, the reason of the end, and the usage when it was asked for.
    """
    kept = ("id", "created", "model", "system_fingerprint", "service_tier")
    base = {name: completion.get(name) for name in kept} | {"object": "chat.completion.chunk"}
    choice: Mapping[str, Any] = completion["choices"][0]
    for delta, logprobs in _deltas(choice):
        yield base | {"choices": [_choice(delta, logprobs)]}
    yield base | {"choices": [_choice({}, None, choice.get("finish_reason"))]}
    if include_usage:
        yield base | {"choices": [], "usage": completion.get("usage")}


def event_stream(completion: Mapping[str, Any], include_usage: bool = False) -> bytes:
    """The chunks as server-sent events, the closing ``[DONE]`` included."""
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks_of(completion, include_usage)]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()


def _choice(delta: dict[str, Any], logprobs: Any, finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}


def _deltas(choice: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], Any]]:
    message: Mapping[str, Any] = choice["message"]
    calls = message.get("tool_calls") or ()
    text = message.get("content")
    # Whatever else the server put into the message (reasoning, refusal, annotations) goes out in one piece.
    spoken = {"role", "content", "tool_calls"}
    more = {name: value for name, value in message.items() if name not in spoken and value}
    yield {"role": message.get("role", "assistant"), "content": None if text is None else "", **more}, None
    tokens = (choice.get("logprobs") or {}).get("content") or ()
    if text and "".join(token["token"] for token in tokens) == text:
        for token in tokens:
            yield {"content": token["token"]}, {"content": [token]}
    else:
        for word in words(text or ""):
            yield {"content": word}, None
    for index, call in enumerate(calls):
        function = call.get("function")
        if function is None:
            yield {"tool_calls": [{"index": index, **call}]}, None
            continue
        head = {**call, "function": {**function, "arguments": ""}}
        yield {"tool_calls": [{"index": index, **head}]}, None
        yield (
            {"tool_calls": [{"index": index, "function": {"arguments": function.get("arguments") or ""}}]},
            None,
        )
