from __future__ import annotations

from typing import Any

import pytest

from agentq_envs.hotpotqa.env import HotPotQAEnv
from agentq_envs.hotpotqa.grounding import facts
from agentq_envs.hotpotqa.prompt import react_prompt

QUESTION = "In which town was the director of the film The Golden Ferry born?"
PAGE = "The Golden Ferry is a 1962 drama film directed by Karin Ormdell. It runs for 94 minutes."
PERSON = "Karin Ormdell (born 3 May 1921) is a film director. Ormdell was born in Mosshaven.."
PROMPT = "\n".join(
    [
        f"Question: {QUESTION}",
        "search[Golden Ferry]",
        "Could not find Golden Ferry. Similar: ['The Golden Ferry', 'The Golden Bridge'].",
        "search[The Golden Ferry]",
        PAGE,
        "search[Karin Ormdell]",
        PERSON,
    ]
)
FILM = "The Golden Ferry is a 1962 drama film directed by Karin Ormdell."
DIRECTOR = "Karin Ormdell (born 3 May 1921) is a film director."
RELATED = f"related: {DIRECTOR} {FILM}"  # three words of the question, then two
READ = f"read: {FILM} {DIRECTOR}"  # in the order of reading


def messages(content: Any) -> tuple[dict[str, Any], ...]:
    return ({"role": "user", "content": content},)


@pytest.mark.parametrize(
    ("action", "parts"),
    [
        ("finish[Mosshaven]", ["read: Ormdell was born in Mosshaven..", RELATED]),
        ("finish[94]", ["read: It runs for 94 minutes.", RELATED]),
        ("finish[9]", ["read: nowhere", RELATED]),  # whole words only
        ("search[karin ormdell]", [READ]),
        ("search[Karin Ormdell]", ["done before", READ]),
        ("lookup[town]", ["in the question", "read: nowhere", RELATED]),
        ("finish[]", ["read: nowhere", RELATED]),
        ("I give up (", ["read: nowhere", RELATED]),
    ],
)
def test_facts_of_the_action(action: str, parts: list[str]) -> None:
    assert facts(messages(PROMPT), action) == " | ".join([*parts, f"question: {QUESTION}"])


def test_it_reads_the_prompts_of_the_environment() -> None:
    env = HotPotQAEnv()
    _, info = env.reset(seed=0)
    first = env.expert_action()
    assert "done before" not in facts(info["messages"], first)
    _, _, _, _, info = env.step(first)
    assert facts(info["messages"], first).startswith("done before | ")
    assert f"question: {env.question.question}" in facts(info["messages"], first)
    assert facts(react_prompt(env), first) == ""
