from __future__ import annotations

from typing import Any

import pytest

from agentq_envs.alfworld.env import AlfworldEnv
from agentq_envs.alfworld.grounding import facts
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
TASK = "task: put a clean mug in desk"


def messages(content: Any) -> tuple[dict[str, Any], ...]:
    return ({"role": "user", "content": content},)


@pytest.mark.parametrize(
    ("action", "named", "places"),
    [
        ("go to drawer 12", "nothing", ["drawer 12: seen, nothing named"]),
        ("go to drawer 2", "nothing", ["drawer 2: not seen"]),
        ("open safe 1", "nothing", ["safe 1: closed, not seen"]),
        ("take mug 1 from desk 1", "mug 1, desk 1", ["desk 1: seen, mug 1"]),
        ("take book 2 from shelf 1", "nothing", ["shelf 1: seen, nothing named"]),
        ("clean mug 2 with sinkbasin 1", "mug 2", ["sinkbasin 1: not seen"]),
        ("inventory", "nothing", []),
    ],
)
def test_facts_of_the_command(action: str, named: str, places: list[str]) -> None:
    parts = [f"named: {named}", "holding: mug 2 (hot), named", *places, "seen at: desk 1", TASK]
    assert facts(messages(PROMPT), action) == " | ".join(parts)


def test_what_was_just_done_is_said_first() -> None:
    assert facts(messages(PROMPT), "open drawer 1").startswith("done before | named: nothing | ")
    assert facts(messages(PROMPT), "open drawer 12").startswith("named: nothing | ")


def test_hands_may_be_empty_or_hold_something_else() -> None:
    for held, said in (("nothing", "nothing"), ("book 1", "book 1"), ("mugtree 1", "mugtree 1")):
        prompt = PROMPT.replace("Holding: mug 2 (hot)", f"Holding: {held}")
        assert f" | holding: {said} | " in facts(messages(prompt), "look")


def test_it_reads_the_prompts_of_the_environment() -> None:
    env = AlfworldEnv()
    _, info = env.reset(seed=0)
    for command in info["admissible_actions"]:
        if command.startswith("go to "):
            place = command.removeprefix("go to ")
            assert f" | {place}: not seen | seen at: nowhere | task: " in facts(info["messages"], command)
    assert facts(chat_prompt(env), "look") == ""
