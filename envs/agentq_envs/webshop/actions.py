"""Action texts: ``search[keywords]`` and ``click[element]`` (WebShop parse_action)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ParsedAction:
    """Name and argument of an action; without brackets the whole text is the name."""

    name: str
    argument: str | None


def parse_action(text: str) -> ParsedAction:
    """Split ``name[argument]``; text after the last "]" of the first line is ignored.

    Equals a match of the greedy pattern ``(.+)\\[(.+)\\]`` at the start of the text, in linear time: the
    pattern itself needs quadratic time on long runs of "[".
    """
    line = text.partition("\n")[0]  # "." matches no line break
    end = line.rfind("]")
    start = line.rfind("[", 1, end - 1) if end > 1 else -1  # one character each before and inside
    if start < 0:
        return ParsedAction(text, None)
    return ParsedAction(line[:start], line[start + 1 : end])


def click(element: str) -> str:
    """The action that clicks an element."""
    return f"click[{element}]"


def can_click(element: str) -> bool:
    """Whether ``click(element)`` parses back to it; line breaks, and "[" before the end, do not survive."""
    return bool(element) and "[" not in element[:-1] and "\n" not in element
