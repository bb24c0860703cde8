from __future__ import annotations

import random
from dataclasses import replace

import pytest

from agentq_envs.demonstrations import Alternative
from agentq_envs.questions import value_answer
from agentq_envs.webshop.goals import Goal
from agentq_envs.webshop.questions import answers

GOAL = Goal(
    asin="B1",
    category="garden",
    query="mugs",
    name="Mug",
    product_category="Home",
    instruction_text="Find me a mug that is Lead Free, with color: navy blue",
    attributes=("lead free", "stackable"),
    price_upper=20.0,
    goal_options={"color": "navy blue"},
    weight=1.0,
)
CLICK = Alternative(
    "click[navy blue]", 1.0, "item", "Goal: lead free\nDone: stackable\nA Lead Free mug", True
)


def test_answers_come_in_the_fixed_order() -> None:
    assert answers(GOAL, CLICK, random.Random(0)) == ["9", " item", " yes", "1", " yes"]


def test_goal_and_history_do_not_count_as_the_page() -> None:
    bare = replace(CLICK, text="Goal: lead free stackable\nDone: lead free\nPage: search")
    assert answers(GOAL, bare, random.Random(0))[3] == "0"


@pytest.mark.parametrize(
    ("action", "named"),
    [
        ("click[navy blue]", " yes"),
        ("click[red]", " no"),
        ("click[avy blue]", " no"),  # not in the middle of a word
        ("search[mug]", " yes"),
        ("nonsense", " no"),
    ],
)
def test_what_was_chosen_is_asked_for_by_name_or_not(action: str, named: str) -> None:
    assert answers(GOAL, replace(CLICK, action=action), random.Random(0))[4] == named


def test_an_action_without_effect_changes_nothing() -> None:
    assert answers(GOAL, replace(CLICK, changed=False, value=0.0), random.Random(0))[:3] == [
        "0",
        " item",
        " no",
    ]


@pytest.mark.parametrize("value", [0.0, 0.05, 0.5, 0.77, 1.0])
def test_the_mean_answer_is_the_value(value: float) -> None:
    rng = random.Random(0)
    digits = [int(value_answer(value, rng)) for _ in range(4000)]
    assert set(digits) <= set(range(10))
    assert max(digits) - min(digits) <= 1
    assert sum(digits) / len(digits) / 9 == pytest.approx(value, abs=0.01)


def test_values_beyond_the_range_are_taken_as_its_ends() -> None:
    rng = random.Random(0)
    assert (value_answer(-3.0, rng), value_answer(7.0, rng)) == ("0", "9")
