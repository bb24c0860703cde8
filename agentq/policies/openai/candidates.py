"""From a choice of a chat completion to a candidate, and from chat messages to what a critic reads.

A tool call is an action like any other. Its canonical text is ``name({"key": value})``, the arguments as
JSON with sorted keys; several calls of one reply stand on lines of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agentq.policies.parsing import ActionParser, parse_action
from agentq.types import Candidate, Message, Messages


def candidate_of_choice(choice: Mapping[str, Any], parser: ActionParser | None = None) -> Candidate:
    """The candidate of one entry of ``choices``; token ids and log-probabilities where the server gave them.

    With tool calls they are the action, otherwise ``parser`` reads the text (``None``: the whole text is the
    action, as in a chat). A reply cut off by the token limit is invalid. Never raises.
    """
    message: Mapping[str, Any] = choice.get("message") or {}
    text = text_of_content(message.get("content"))
    calls: Sequence[Mapping[str, Any]] = message.get("tool_calls") or ()
    if calls:
        action, error = tool_call_action(calls)
        text = "\n".join(part for part in (text, action or json.dumps(list(calls))) if part)
    elif parser is None:
        action, error = (text.strip() or None), None if text.strip() else "the reply is empty"
    else:
        parsed = parse_action(text, parser)
        action, error = parsed.action, parsed.error
    if choice.get("finish_reason") == "length":
        action, error = None, "the reply was cut off by the token limit: raise max_tokens"
    return Candidate(
        text=text,
        action=action,
        error=error,
        token_ids=tuple(choice.get("token_ids") or ()),
        token_logprobs=_token_logprobs(choice),
    )


def tool_call_action(calls: Sequence[Mapping[str, Any]]) -> tuple[str | None, str | None]:
    """The canonical action of tool calls, or None and the reason; arguments must be a JSON object."""
    lines: list[str] = []
    for call in calls:
        function: Mapping[str, Any] = call.get("function") or {}
        name, arguments = function.get("name"), function.get("arguments") or "{}"
        if not isinstance(name, str) or not name:
            return None, "a tool call has no function name"
        try:
            values = json.loads(arguments) if isinstance(arguments, str) else arguments
        except ValueError as error:
            return None, f"the arguments of {name!r} are no JSON: {error}"
        if not isinstance(values, Mapping):
            return None, f"the arguments of {name!r} are {type(values).__name__}, expected a JSON object"
        lines.append(f"{name}({json.dumps(values, sort_keys=True, ensure_ascii=False)})")
    return "\n".join(lines), None


def plain_messages(messages: Messages) -> Messages:
    """Messages with text content alone, which any chat template can render: what a critic reads and the log keeps.

    Tool calls become their canonical text, parts are joined, an image is ``[image]``, and messages of roles
    besides system, user and assistant are the user's. Text that is plain already is returned as it is.
    """
    return tuple(_plain(message) for message in messages)


def text_of_content(content: Any) -> str:
    """The text of a message's content: a string, parts, or nothing."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    texts: list[str] = []
    for part in content:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if isinstance(part, str):
            texts.append(part)
        elif kind in ("text", "input_text", "output_text"):
            texts.append(str(part.get("text", "")))
        elif kind == "refusal":
            texts.append(str(part.get("refusal", "")))
        else:
            texts.append("[image]" if kind in ("image_url", "input_image", "image") else f"[{kind}]")
    return "\n".join(texts)


def _plain(message: Message) -> Message:
    role = message.get("role")
    content = message.get("content")
    calls = message.get("tool_calls") or ()
    if isinstance(content, str) and not calls and role in ("system", "user", "assistant"):
        return {"role": role, "content": content}
    text = text_of_content(content)
    if calls:
        action, _ = tool_call_action(calls)
        text = "\n".join(part for part in (text, action or json.dumps(list(calls))) if part)
    plain = {"developer": "system", "system": "system", "assistant": "assistant"}
    return {"role": plain.get(str(role), "user"), "content": text}


def _token_logprobs(choice: Mapping[str, Any]) -> tuple[float, ...]:
    logprobs: Mapping[str, Any] = choice.get("logprobs") or {}
    content = logprobs.get("content")
    if content is not None:  # chat completions
        return tuple(float(token["logprob"]) for token in content)
    return tuple(float(value) for value in logprobs.get("token_logprobs") or () if value is not None)
