"""From the choices of an upstream to what a critic values, and which requests can be guided at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agentq.policies.openai.candidates import candidate_of_choice, plain_messages
from agentq.policies.parsing import deduplicate, normalised
from agentq.types import Candidate, Messages

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"


@dataclass(frozen=True, slots=True)
class Distinct:
    """The candidates of a request, equal actions merged, and the choice that each stands for."""

    candidates: tuple[Candidate, ...]  # (N,)
    sources: tuple[int, ...]  # (N,) number of the first choice with that action


def distinct_candidates(
    path: str, choices: Sequence[Mapping[str, Any]], actions: Literal["text", "react"]
) -> Distinct:
    """The distinct candidates of an answer, in the order of their first choice."""
    parser = _whole_line if actions == "react" else None
    found = [candidate_of_choice(choice if path == CHAT else _as_chat(choice), parser) for choice in choices]
    first: dict[tuple[bool, str], int] = {}
    for number, candidate in enumerate(found):
        text = candidate.text if candidate.action is None else candidate.action
        first.setdefault((candidate.valid, normalised(text)), number)
    return Distinct(tuple(deduplicate(found)), tuple(first.values()))


def state_of(path: str, body: Mapping[str, Any]) -> Messages | None:
    """The messages that a critic reads; None where the request has no one state."""
    messages = spoken(path, body)
    return plain_messages(messages) if messages else None


def spoken(path: str, body: Mapping[str, Any]) -> Messages:
    """The request's own messages, tool calls as they are; none where it has no one state."""
    if path == CHAT:
        messages = body.get("messages")
        if isinstance(messages, list) and all(isinstance(message, Mapping) for message in messages):
            return messages
        return ()
    prompt = body.get("prompt")
    return ({"role": "user", "content": prompt},) if isinstance(prompt, str) else ()


def why_passed(path: str, body: Mapping[str, Any]) -> str | None:
    """Why a request goes through unguided, whatever the critic: it does not ask for one sampled choice."""
    if body.get("n", 1) not in (1, None) or (path == TEXT and body.get("best_of", 1) not in (1, None)):
        return "client_n"
    if body.get("temperature") == 0:
        return "greedy"
    if body.get("use_beam_search") or (path == TEXT and (body.get("echo") or body.get("suffix"))):
        return "unsupported"
    return None


def characters(messages: Messages) -> int:
    """Length of the text of messages."""
    return sum(len(message["content"]) for message in messages)


def _as_chat(choice: Mapping[str, Any]) -> dict[str, Any]:
    return {**choice, "message": {"content": choice.get("text")}}


def _whole_line(line: str) -> str:
    return line
