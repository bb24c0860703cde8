from __future__ import annotations

from typing import Any

import pytest

from agentq_envs.hotpotqa.env import HotPotQAEnv
from agentq_envs.hotpotqa.grounding import compared_facts, facts
from agentq_envs.hotpotqa.prompt import react_prompt

PEOPLE = [
    "search[Karin Ormdell]",
    "Karin Ormdell (born 3 May 1921) is a painter from Saluria. Ormdell studied at Windcross College.",
    "search[Jon Salberg]",
    "Jon Salberg, born on 12 July 1908, is a painter. Salberg is a graduate of Windcross College.",
]
TOWNS = [
    "search[Coldby]",
    "Coldby is a town in Dalstan on the River Wesene. The town was founded in 1272.",
    "search[Thornvale]",
    "Thornvale is a market town in Dalstan. It has 9,052 inhabitants. Thornvale was founded in 1300.",
    "search[Coldby]",
    "Coldby is a town in Dalstan on the River Wesene. The town was founded in 1272.",
    "lookup[inhabitants]",
    "(Result 1 / 1) It had a population of 10,364 at the last census.",
]
FILMS = [
    "search[Green Stair]",
    "Could not find Green Stair. Similar: ['The Green Stair', 'Stair of Salt'].",
    "search[The Green Stair (film)]",
    "The Green Stair is a 1937 war film directed by Karin Ormdell. The score is by Jon Salberg.",
    "search[Iron Bones]",
    "Iron Bones is a 1937 drama film directed by Jon Salberg. It runs for 94 minutes.",
]


def behind(question: str, lines: list[str], action: str) -> list[str]:
    """The parts behind the facts."""
    prompt = ({"role": "user", "content": "\n".join([f"Question: {question}", *lines])},)
    text, plain = compared_facts(prompt, action), facts(prompt, action)
    assert text.startswith(f"{plain} | ")
    return text.removeprefix(f"{plain} | ").split(" | ")


@pytest.mark.parametrize(
    ("question", "lines", "action", "parts"),
    [
        (
            "Who is older, Karin Ormdell or Jon Salberg?",
            PEOPLE,
            "finish[Karin Ormdell]",
            [
                "pages: Karin Ormdell; Jon Salberg",
                "Karin Ormdell 1921 later than 1908 Jon Salberg",
                "both: born; painter; Windcross College (studied at, graduate of)",
            ],
        ),
        (
            "Which town has more inhabitants, Thornvale or Coldby?",
            TOWNS,
            "finish[Thornvale]",
            [
                "pages: Coldby; Thornvale",
                "Thornvale 1300 later than 1272 Coldby",
                "Thornvale 9,052 less than 10,364 Coldby",  # as numbers, not as text
                "both: Dalstan (town in, town in)",
            ],
        ),
        (
            "Were The Green Stair and Iron Bones directed by the same person?",
            FILMS,
            "finish[no]",
            [
                "pages: The Green Stair; Iron Bones",  # without "(film)"
                "The Green Stair 1937 as 1937 Iron Bones",
                "The Green Stair unknown and 94 Iron Bones",
                "both: film; Jon Salberg (is by, directed by)",
            ],
        ),
        ("Who is older, Karin Ormdell or Jon Salberg?", PEOPLE[:2], "finish[yes]", ["pages: Karin Ormdell"]),
        ("Who is older, Karin Ormdell or Jon Salberg?", [], "finish[yes]", ["pages: none"]),
        ("At which college did the painter of Blue Gate study?", PEOPLE, "finish[1908]", ["pages: none"]),
    ],
)
def test_what_two_pages_say_of_each_other(
    question: str, lines: list[str], action: str, parts: list[str]
) -> None:
    assert behind(question, lines, action) == parts


def test_a_prompt_without_a_word_is_no_error() -> None:
    assert behind("", [], "finish[Coldby]") == ["pages: none"]


def test_an_action_on_a_page_puts_that_page_first() -> None:
    question = "Who is younger, Karin Ormdell or Jon Salberg?"
    years = "Jon Salberg 1908 earlier than 1921 Karin Ormdell"
    assert years in behind(question, PEOPLE, "finish[jon salberg]")
    assert years not in behind(question, PEOPLE, "finish[yes]")


def test_pages_without_anything_in_common() -> None:
    lines = ["search[Aa]", "Aa is red.", "search[Bb]", "Bb was built."]
    assert behind("Which is older, Aa or Bb?", lines, "finish[Aa]") == ["pages: Aa; Bb", "both: nothing"]


@pytest.mark.parametrize("content", ["", "Question", "Observation 1: Coldby", None, ["no text"]])
def test_other_prompts_have_no_comparison(content: Any) -> None:
    assert compared_facts(({"role": "user", "content": content},), "finish[Coldby]") == ""


def test_it_reads_the_prompts_of_the_environment() -> None:
    env = HotPotQAEnv()
    tasks = [q for q in env.tasks.questions if q.type == "comparison"]
    _, info = env.reset(seed=0, options={"task": env.tasks.ids[env.tasks.questions.index(tasks[0])]})
    assert compared_facts(info["messages"], "finish[yes]").endswith(" | pages: none")
    while not (action := env.expert_action()).startswith("finish"):
        _, _, _, _, info = env.step(action)
    assert " | both: " in compared_facts(info["messages"], action)
    assert compared_facts(react_prompt(env), action) == ""
