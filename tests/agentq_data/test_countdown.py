"""Countdown: drawn problems have answers, the checker accepts exactly those, splits share nothing."""

from __future__ import annotations

import random

import pytest

from agentq.errors import DataError
from agentq_data.countdown import (
    CountdownSettings,
    Problem,
    answers,
    calculate,
    draw_problem,
    draw_problems,
    solves,
)


@pytest.mark.parametrize(
    ("text", "result"),
    [("7 + 5 * 3 - 2", 34), ("4", 4), ("2 - 9", -7), ("2 +", None), ("+ 2 3", None), ("2 / 3", None), ("2 + x", None),
     ("2 3 4", None), ("-2 + 3", None)],
)  # fmt: skip
def test_chains_are_worked_out_from_left_to_right(text: str, result: int | None) -> None:
    assert calculate(text.split()) == result


def test_every_drawn_problem_has_its_answer_among_all_answers() -> None:
    rng = random.Random(0)
    for _ in range(50):
        problem, answer = draw_problem(rng, CountdownSettings())
        assert solves(problem, answer)
        found = answers(problem)
        assert answer in found
        assert all(solves(problem, text) for text in found)
        assert 1 <= problem.target <= 60


@pytest.mark.parametrize(
    "answer", ["", "2 + 3", "2 + 2 + 5", "3 * 2 + 5", "5 * 3 + 2 + 0", "nonsense", "3 + 5 * 2 -"]
)
def test_wrong_answers_are_refused(answer: str) -> None:
    assert not solves(Problem((2, 3, 5), 16), answer)
    assert solves(Problem((2, 3, 5), 16), "3 + 5 * 2")


def test_problems_are_distinct_repeatable_and_held_out() -> None:
    settings = CountdownSettings(numbers=3)
    test = draw_problems(1, 40, settings)
    train = draw_problems(0, 300, settings, without=test)
    assert train == draw_problems(0, 300, settings, without=test)
    assert len({*test, *train}) == 340
    assert test[0].prompt.endswith(f" = {test[0].target}")


def test_impossible_wishes_are_refused() -> None:
    with pytest.raises(DataError, match="fewer than 500 distinct problems"):
        draw_problems(0, 500, CountdownSettings(numbers=2, largest=2))
    with pytest.raises(DataError, match="no problem was found"):
        draw_problem(random.Random(0), CountdownSettings(largest_target=0))
