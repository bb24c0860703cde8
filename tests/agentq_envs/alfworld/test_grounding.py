from __future__ import annotations

from typing import Any

import pytest

from agentq.critics.groundings import resolve_grounding
from agentq_envs.alfworld.env import AlfworldEnv
from agentq_envs.alfworld.grounding import noted
from agentq_envs.alfworld.prompt import chat_prompt

PROMPT = """Task: put a clean mug in desk
Done: go to drawer 1 > open drawer 1 > go to desk 1
Holding: mug 2 (hot)
At: desk 1
drawer 1: pen 1
desk 1: mug 1, book 2
drawer 12 (closed): nothing
shelf 1: mugtree 1
Not seen: drawer 2, safe 1 (closed), sinkbasin 1
Answer: You arrive at desk 1. On the desk 1, you see a mug 1, and a book 2.
Commands:
go to drawer 1
take mug 1 from desk 1"""
HEADS = "Task: put a clean mug in desk | Holding: mug 2 (hot) | At: desk 1 | "
MUGS = "desk 1: mug 1, book 2"


def messages(content: Any) -> tuple[dict[str, Any], ...]:
    return ({"role": "user", "content": content},)


@pytest.mark.parametrize(
    ("action", "places"),
    [
        ("go to drawer 1", ["drawer 1: pen 1", MUGS]),
        ("go to drawer 12", [MUGS, "drawer 12 (closed): nothing"]),
        ("go to drawer 2", [MUGS, "drawer 2: not seen"]),
        ("open safe 1", [MUGS, "safe 1 (closed): not seen"]),
        ("take mug 1 from desk 1", [MUGS]),
        ("clean mug 2 with sinkbasin 1", [MUGS, "sinkbasin 1: not seen"]),
        ("inventory", [MUGS]),
    ],
)
def test_places_of_the_command_and_of_what_is_wanted(action: str, places: list[str]) -> None:
    assert noted(messages(PROMPT), action) == HEADS + " | ".join(places)


def test_other_messages_have_none() -> None:
    for content in ("You see a desk 1.", [{"type": "text", "text": PROMPT}], "", None):
        assert noted(messages(content), "go to desk 1") == ""
    assert noted((), "go to desk 1") == ""


def test_it_reads_the_prompts_of_the_environment() -> None:
    assert resolve_grounding("agentq_envs.alfworld.grounding:noted") is noted
    env = AlfworldEnv()
    _, info = env.reset(seed=0)
    for command in info["admissible_actions"]:
        if command.startswith("go to "):
            place = command.removeprefix("go to ")
            assert noted(info["messages"], command).endswith(f"{place}: not seen")
    assert noted(chat_prompt(env), "look") == ""
