"""What choices lose against the best candidate."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agentq.errors import EvaluationError
from agentq_eval.value_metrics import selective_regret

LABELS = [0.2, 0.8, 0.5, 1.0, 0.0]
SIZES = [3, 2]


def test_regret_is_the_distance_to_the_best_label() -> None:
    found = selective_regret(LABELS, SIZES, [2, 0], ["a", "b"], reference=[0, 1])
    assert found.chosen.value == pytest.approx((0.3 + 0.0) / 2)
    assert found.random.value == pytest.approx((0.3 + 0.5) / 2)
    assert found.reference is not None
    assert found.reference.value == pytest.approx((0.6 + 1.0) / 2)
    assert found.saved.value == pytest.approx((0.3 + 1.0) / 2)  # of the reference, paired
    assert found.chosen.n == 2


def test_without_a_reference_chance_is_compared_with() -> None:
    found = selective_regret(LABELS, SIZES, [1, 0], ["a", "b"])
    assert (found.chosen.value, found.reference) == (0.0, None)
    assert found.saved.value == found.random.value


def test_states_that_say_nothing_are_left_out_and_counted() -> None:
    labels = [0.5, 0.1, math.nan, 0.7, 0.3, 0.9, math.nan, 0.4]
    # a choice between two known ones; the chosen one is unknown; one candidate; one known of two
    found = selective_regret(labels, [2, 3, 1, 2], [1, 0, 0, 1], ["a", "b", "c", "d"])
    assert found.chosen.value == pytest.approx(0.4)
    assert (found.chosen.n, found.left_out) == (1, 3)
    assert found.chosen.low is None
    known = selective_regret([0.1, 0.5], [2], [0], ["a"], reference=[1])
    assert (known.left_out, known.saved.value) == (0, pytest.approx(-0.4))
    nothing = selective_regret([], [], [], [])
    assert (nothing.chosen.value, nothing.left_out) == (None, 0)


def test_all_unknown_is_undefined_not_zero() -> None:
    found = selective_regret([math.nan] * 4, [2, 2], [0, 1], ["a", "b"])
    assert (found.chosen.value, found.random.value, found.left_out) == (None, None, 2)


@pytest.mark.parametrize(
    ("chosen", "message"), [([3, 0], "3 candidates"), ([0, -1], "2 candidates"), ([0], "shape")]
)
def test_a_choice_that_is_no_candidate_is_named(chosen: list[int], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        selective_regret(LABELS, SIZES, chosen, ["a", "b"])


def test_intervals_cover_the_saved_regret() -> None:
    rng = np.random.default_rng(0)
    tasks = [f"t{i // 2}" for i in range(160)]
    truth = 0.4 * (
        3 / 4 - 1 / 2
    )  # of three uniform labels the best is 3/4; 60 % of the choices are by chance
    hits = 0
    for _ in range(2000):
        labels = rng.random((160, 3))
        best = labels.argmax(axis=1)
        chosen = np.where(rng.random(160) < 0.4, best, rng.integers(3, size=160))
        found = selective_regret(labels.ravel(), [3] * 160, chosen, tasks, repetitions=300).saved
        hits += int((found.low or 0.0) <= truth <= (found.high or 0.0))
    assert 0.93 <= hits / 2000 <= 0.97
