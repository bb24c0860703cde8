"""What a command refers to, from the compact prompt: the critic reads it right behind the command.

"go to cabinet 3" says nothing of what was seen there, nor of what is wanted; both stand far away in the prompt. A
model has to look them up for every command, which small ones learn slowly. This text puts them side by side. It
repeats what the prompt holds and decides nothing.
"""

from __future__ import annotations

import re

from agentq.types import Messages

_NAME = re.compile(r"[a-z]+ \d+")
_NOT_SEEN = "Not seen: "
_HEADS = ("Task: ", "Holding: ", "At: ")


def noted(messages: Messages, action: str) -> str:
    """Task, what is held, where; then the lines of the prompt about the command's things and the task's.

    Returns "" when the newest message is not a compact prompt. Never raises on text.
    """
    content = messages[-1].get("content") if messages else None
    if not isinstance(content, str) or not content.startswith(_HEADS[0]):
        return ""
    state, _, _ = content.partition("\nAnswer: ")
    lines = state.partition("\nCommands:")[0].splitlines()
    heads = [line for line in lines if line.startswith(_HEADS)]
    wanted = set(heads[0].removeprefix(_HEADS[0]).split())
    meant = set(_NAME.findall(action))
    found = [line for line in lines[2:] if _concerns(line, wanted, meant)]
    unseen = next((line.removeprefix(_NOT_SEEN) for line in lines if line.startswith(_NOT_SEEN)), "")
    found += [f"{name}: not seen" for name in unseen.split(", ") if name.removesuffix(" (closed)") in meant]
    return " | ".join([*heads, *found])


def _concerns(line: str, wanted: set[str], meant: set[str]) -> bool:
    """Whether a line "desk 1: mug 2, pen 1" is of a place that is meant, or holds a kind of thing that is wanted."""
    place, mark, things = line.partition(": ")
    if not mark or line.startswith((*_HEADS, _NOT_SEEN)):
        return False
    kinds = {name.rpartition(" ")[0] for name in _NAME.findall(things)}
    return place.removesuffix(" (closed)") in meant or bool(kinds & wanted)
