"""Reads the PDDL of a game: nested lists of words, and of a problem its facts and its goal."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from agentq.errors import DataError

Expression: TypeAlias = "str | list[Expression]"
Fact: TypeAlias = tuple[str, ...]

_COMMENT = re.compile(r";[^\n]*")


@dataclass(frozen=True, slots=True)
class Problem:
    """Initial facts in the order of the file, each a tuple of lower-case words, and the goal's expression."""

    facts: tuple[Fact, ...]
    goal: Expression


def parse(text: str) -> Expression:
    """The one expression of a text, in lower case, comments left out. Raises DataError for anything else."""
    text = text.lower()
    if ";" in text:
        text = _COMMENT.sub("", text)
    top: list[Expression] = []
    current = top
    stack: list[list[Expression]] = []
    for word in text.replace("(", " ( ").replace(")", " ) ").split():
        if word == "(":
            inner: list[Expression] = []
            current.append(inner)
            stack.append(current)
            current = inner
        elif word == ")":
            if not stack:
                raise DataError("PDDL closes a bracket that was not opened. Restore the game file.")
            current = stack.pop()
        else:
            current.append(word)
    if stack or len(top) != 1:
        raise DataError(
            f"PDDL with {len(stack)} open brackets and {len(top)} expressions, expected one closed expression. "
            "Restore the game file."
        )
    return top[0]


def read_problem(text: str) -> Problem:
    """Facts and goal of a problem. Raises DataError when a part is missing or a fact is no list of words."""
    expression = parse(text)
    parts = {part[0]: part for part in expression[1:] if isinstance(part, list) and part}
    if ":init" not in parts or ":goal" not in parts or len(parts[":goal"]) != 2:
        raise DataError("a PDDL problem needs (:init ...) and one (:goal ...). Restore the game file.")
    facts: list[Fact] = []
    for fact in parts[":init"][1:]:
        if not isinstance(fact, list) or not fact:
            raise DataError(f"the initial fact {fact!r} is no list of words. Restore the game file.")
        if fact[0] == "=":  # a cost or a distance, which no command depends on
            continue
        words = tuple(word for word in fact if isinstance(word, str))
        if len(words) != len(fact):
            raise DataError(f"the initial fact {fact!r} is nested, expected words. Restore the game file.")
        facts.append(words)
    return Problem(tuple(facts), parts[":goal"][1])
