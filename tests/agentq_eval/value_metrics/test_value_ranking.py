"""Rank correlations within states, against scipy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats

from agentq.errors import EvaluationError
from agentq_eval.value_metrics import kendall, ranking, spearman


def test_rows_are_scipys_with_and_without_ties() -> None:
    rng = np.random.default_rng(0)
    q, labels = rng.integers(0, 5, (200, 6)).astype(float), rng.integers(0, 3, (200, 6)).astype(float)
    q[:100] += rng.random((100, 6))
    rho, tau = spearman(q, labels), kendall(q, labels)
    for i in range(200):
        if np.ptp(q[i]) == 0 or np.ptp(labels[i]) == 0:
            assert math.isnan(rho[i])
            assert math.isnan(tau[i])
        else:
            expected: Any = scipy.stats.spearmanr(q[i], labels[i])
            assert rho[i] == pytest.approx(expected.statistic)
            expected = scipy.stats.kendalltau(q[i], labels[i])
            assert tau[i] == pytest.approx(expected.statistic)


def test_states_count_alike_whatever_their_size() -> None:
    q = [1.0, 2.0, 3.0, 1.0, 2.0]
    labels = [0.1, 0.2, 0.3, 0.9, 0.2]  # first state: +1, second: -1
    found = ranking(q, labels, [3, 2], ["a", "b"])
    assert found.spearman.value == pytest.approx(0)
    assert found.kendall.value == pytest.approx(0)
    assert (found.spearman.n, found.undefined, found.dropped) == (2, 0, 0)


def test_unlabelled_and_invalid_candidates_are_left_out_and_counted() -> None:
    q = [1.0, -math.inf, 3.0, 2.0, 1.0, 2.0, 0.5]
    labels = [0.1, 0.0, 0.9, math.nan, 0.5, 0.5, 1.0]
    found = ranking(q, labels, [4, 2, 1], ["a", "b", "c"])  # +1; equal labels; one candidate
    assert (found.spearman.value, found.kendall.value) == pytest.approx((1.0, 1.0))
    assert (found.spearman.n, found.undefined, found.dropped) == (1, 2, 2)
    assert found.spearman.low is None  # one task
    assert ranking([], [], [], []).spearman.value is None


def test_the_same_seed_gives_the_same_interval() -> None:
    rng = np.random.default_rng(1)
    q, labels = rng.random((2, 400))
    tasks = [f"t{i // 5}" for i in range(100)]
    one, again = (ranking(q, labels, [4] * 100, tasks, seed=3) for _ in range(2))
    assert one == again
    assert one.kendall.low is not None
    assert one.kendall.low < 0 < (one.kendall.high or 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.1], [0.1], [0, 1], ["a", "b"]), "at least one candidate per state"),
        (([0.1], [0.1], [1], ["a", "b"]), "2 tasks for 1 states"),
        (([0.1], [0.1], [2], ["a"]), r"q have shape \(1,\), expected \(2,\)"),
        (([math.nan], [0.1], [1], ["a"]), r"q\[0\] is nan"),
        (([0.1], [math.inf], [1], ["a"]), r"labels\[0\] is inf"),
    ],
)
def test_shapes_and_values_that_do_not_fit_are_named(
    arguments: tuple[list[float], list[float], list[int], list[str]], message: str
) -> None:
    with pytest.raises(EvaluationError, match=message):
        ranking(*arguments)


def test_intervals_cover_the_mean_correlation() -> None:
    """Normal pairs with correlation 0.6 and four candidates: Spearman's mean is known from a large sample."""
    rng = np.random.default_rng(2)

    def drawn(states: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.normal(size=(states, 4))
        return 0.6 * labels + 0.8 * rng.normal(size=(states, 4)), labels

    truth = float(spearman(*drawn(200_000)).mean())
    tasks = [f"t{i // 3}" for i in range(180)]
    hits = 0
    for _ in range(2000):
        q, labels = drawn(180)
        found = ranking(q.ravel(), labels.ravel(), [4] * 180, tasks, repetitions=300).spearman
        hits += int((found.low or -1) <= truth <= (found.high or 1))
    assert 0.93 <= hits / 2000 <= 0.97
