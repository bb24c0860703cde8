"""From sampled text to an action, and from N samples to distinct candidates with counts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

from agentq.types import Candidate

#: An environment's own grammar: the canonical action for an extracted line, or None when it is none.
ActionParser: TypeAlias = Callable[[str], str | None]

#: Stands for any text of at least one character without line breaks in an admissible action.
FREE_TEXT = "<free text>"

_ACTION = re.compile(r"^[ \t]*action[ \t]*\d*[ \t]*:[ \t]*(.*)$", re.IGNORECASE)
_THOUGHT = re.compile(r"^[ \t]*thought[ \t]*\d*[ \t]*:", re.IGNORECASE)
_OBSERVATION = re.compile(r"^[ \t]*observation[ \t]*\d*[ \t]*:", re.IGNORECASE)
_VERB = re.compile(r"[^\[\(\s]*")
_SHOWN = 60  # characters of an offending text that an error repeats


@dataclass(frozen=True, slots=True)
class ParsedAction:
    """An action, or the reason why there is none; exactly one of the two is set."""

    action: str | None
    error: str | None = None


def parse_action(text: str, parser: ActionParser | None = None) -> ParsedAction:
    """The action in a policy's reply.

    ReAct style first (Yao et al. 2022, arXiv 2210.03629): what follows the first ``Action:``, on its
    line or on the next; text behind ``Observation:`` is ignored. Without that prefix the first line that
    is not empty is the action. ``parser`` then decides whether that line is an action. Never raises.
    """
    lines = _before_observation(text.splitlines())
    line = _action_line(lines)
    if line is None:
        return ParsedAction(None, _no_action(lines, text))
    if parser is None:
        return ParsedAction(line)
    action = parser(line)
    if action is None:
        return ParsedAction(None, f"{_shown(line)} is no action of this environment")
    return ParsedAction(action)


def normalised(action: str) -> str:
    """The key under which actions are the same: spaces collapsed, the verb in lower case.

    The argument keeps its case: ``Click[ Red ]`` equals ``click[ Red ]`` but not ``click[ red ]``.
    """
    collapsed = " ".join(action.split())
    verb = _VERB.match(collapsed)
    end = verb.end() if verb is not None else 0
    return collapsed[:end].lower() + collapsed[end:]


def deduplicate(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Distinct candidates in order of first occurrence, ``count`` summed.

    Candidates that do not parse stay, marked by their error, and are merged when their text agrees.
    """
    kept: dict[tuple[bool, str], Candidate] = {}
    for candidate in candidates:
        key = (candidate.valid, normalised(candidate.text if candidate.action is None else candidate.action))
        first = kept.get(key)
        kept[key] = candidate if first is None else replace(first, count=first.count + candidate.count)
    return list(kept.values())


def _before_observation(lines: list[str]) -> list[str]:
    for position, line in enumerate(lines):
        if _OBSERVATION.match(line):
            return lines[:position]
    return lines


def _action_line(lines: list[str]) -> str | None:
    for position, line in enumerate(lines):
        match = _ACTION.match(line)
        if match is not None:
            return _first_line([match.group(1), *lines[position + 1 :]])
    first = _first_line(lines)
    return None if first is None or _THOUGHT.match(first) else first


def _first_line(lines: list[str]) -> str | None:
    return next((line.strip() for line in lines if line.strip()), None)


def _no_action(lines: list[str], text: str) -> str:
    if not text.strip():
        return "the reply is empty"
    if any(line.strip() for line in lines):
        return f"the reply names no action after its thought: {_shown(text.strip())}"
    return f"the reply holds nothing before its observation: {_shown(text.strip())}"


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
