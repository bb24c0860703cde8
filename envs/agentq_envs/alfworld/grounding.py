"""What a command has to do with the task and with what was seen, to be read right behind the command.

"take cloth 1 from shelf 2" does not say that a cloth is wanted, nor "go to shelf 3" what was seen there; both stand
far away in the prompt. A model has to look them up and compare names for every command, which small ones learn
slowly. This text puts the facts side by side. It repeats what the prompt holds and decides nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentq.features.grounding import newest_text
from agentq.types import Messages

_NAME = re.compile(r"[a-z]+ \d+")
_TASK, _DONE, _HOLDING, _UNSEEN = "Task: ", "Done: ", "Holding: ", "Not seen: "


def facts(messages: Messages, action: str) -> str:
    """Which words of the command the task names, what is held, the command's places, where the task's things are.

    Returns "" when the newest message is not a compact prompt. Never raises on text.
    """
    content = newest_text(messages)
    if not content.startswith(_TASK):
        return ""
    state = _read(content)
    words = set(state.task.split())
    meant = _NAME.findall(action)
    named = [name for name in meant if _kind(name) in words]
    held = f"{state.holding}, named" if _kind(_first_name(state.holding)) in words else state.holding
    where = [place for place, things in state.seen.items() if any(_kind(thing) in words for thing in things)]
    parts = [
        f"named: {', '.join(named) or 'nothing'}",
        f"holding: {held}",
        *(_about(name, state, words) for name in meant if name in state.seen or name in state.unseen),
        f"seen at: {', '.join(where) or 'nowhere'}",
        f"task: {state.task}",
    ]
    return " | ".join(["done before", *parts] if action in state.done else parts)


@dataclass(frozen=True, slots=True)
class _State:
    """The lines of a compact prompt."""

    task: str
    done: tuple[str, ...]
    holding: str
    seen: dict[str, list[str]]  # place -> things; a place may be closed again
    unseen: dict[str, bool]  # place -> whether it is known to be closed


def _read(content: str) -> _State:
    lines = content.partition("\nAnswer: ")[0].partition("\nCommands:")[0].splitlines()
    found: dict[str, str] = {}
    seen: dict[str, list[str]] = {}
    for line in lines:
        head, mark, rest = line.partition(": ")
        if _NAME.fullmatch(head.removesuffix(" (closed)")):
            seen[head.removesuffix(" (closed)")] = _NAME.findall(rest)
        else:
            found[head + mark] = rest
    unseen = [name for name in found.get(_UNSEEN, "").split(", ") if name]
    return _State(
        found.get(_TASK, ""),
        tuple(found.get(_DONE, "").split(" > ")),
        found.get(_HOLDING, ""),
        seen,
        {name.removesuffix(" (closed)"): name.endswith(" (closed)") for name in unseen},
    )


def _about(place: str, state: _State, words: set[str]) -> str:
    """A place of the command, with what it holds of the kinds that the task names."""
    if place in state.unseen:
        return f"{place}: closed, not seen" if state.unseen[place] else f"{place}: not seen"
    things = [thing for thing in state.seen[place] if _kind(thing) in words]
    return f"{place}: seen, {', '.join(things) or 'nothing named'}"


def _kind(name: str) -> str:
    return name.rpartition(" ")[0]


def _first_name(text: str) -> str:
    """ "mug 2 (hot)" -> "mug 2"; "nothing" -> ""."""
    found = _NAME.match(text)
    return found[0] if found else ""
