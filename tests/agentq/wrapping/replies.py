"""What the scripted server says in these tests."""

from __future__ import annotations

from typing import Any

from tests.servers.scripted_chat import Answer

COLOURS = ("red", "green", "blue")


def colours(body: dict[str, Any], number: int) -> str:
    """Another colour each time."""
    return f"take the {COLOURS[number % 3]} one"


def shopping(body: dict[str, Any], number: int) -> Answer:
    """Buys another colour each time; says what it has when a tool has answered."""
    last = body["messages"][-1]
    if last["role"] == "tool":
        return Answer(f"I have {last['content']}, candidate {number % 3}")
    return Answer("", [("buy", {"colour": COLOURS[number % 3]})])
