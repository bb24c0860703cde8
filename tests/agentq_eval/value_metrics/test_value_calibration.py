"""Reliability curves: bins, what is left out, and whether their intervals hold what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agentq.errors import EvaluationError
from agentq_eval.value_metrics import reliability


def test_a_critic_that_is_right_is_calibrated() -> None:
    rng = np.random.default_rng(0)
    q = rng.random(20_000)
    found = reliability(q, (rng.random(20_000) < q).astype(float), [f"t{i // 20}" for i in range(20_000)])
    assert len(found.bins) == 10
    assert {one.outcome.n for one in found.bins} == {2000}
    assert found.ece == pytest.approx(0, abs=0.02)
    assert found.bias.value == pytest.approx(0, abs=0.02)
    for one in found.bins:
        assert one.low_q <= one.q <= one.high_q
        assert one.outcome.value == pytest.approx(one.q, abs=0.05)


def test_the_error_is_the_mean_distance_of_the_bins() -> None:
    q = np.repeat([0.2, 0.8], 100)
    outcomes = np.concatenate([np.repeat([0.0, 1.0], [70, 30]), np.ones(100)])  # 0.3 and 1.0
    found = reliability(q, outcomes, [str(i) for i in range(200)], bins=2)
    assert found.ece == pytest.approx((0.1 + 0.2) / 2)
    assert found.bias.value == pytest.approx(0.5 - 0.65)
    assert [one.outcome.value for one in found.bins] == pytest.approx([0.3, 1.0])


def test_equal_values_share_a_bin() -> None:
    q = np.repeat([0.0, 0.5, 1.0], [5, 90, 5])
    found = reliability(q, q, [str(i) for i in range(100)], bins=10, least=1)
    assert [(one.low_q, one.high_q, one.outcome.n) for one in found.bins] == [
        (0.0, 0.0, 5), (0.5, 0.5, 90), (1.0, 1.0, 5),
    ]  # fmt: skip
    assert found.ece == 0
    alone = reliability(np.full(50, 0.4), np.zeros(50), [str(i) for i in range(50)])
    assert [one.outcome.n for one in alone.bins] == [50]


def test_a_bin_that_always_won_has_an_interval() -> None:
    found = reliability(np.full(40, 0.9), np.ones(40), [f"t{i // 2}" for i in range(40)]).bins[0].outcome
    assert found.low is not None
    assert found.high == 1
    assert found.low < 0.9  # of 20 tasks, not of 40 episodes
    assert found.low == pytest.approx(20 / (20 + 1.959964**2))


def test_unknown_outcomes_and_invalid_candidates_are_left_out() -> None:
    q = [0.1, -math.inf, 0.3, 0.4]
    found = reliability(q, [0.1, 0.0, math.nan, 0.4], list("abcd"), least=1)
    assert found.dropped == 2
    assert sum(one.outcome.n for one in found.bins) == 2
    assert found.ece == pytest.approx(0)


def test_too_little_is_undefined() -> None:
    nothing = reliability([], [], [])
    assert (nothing.bins, nothing.ece, nothing.bias.value) == ((), None, None)
    one_task = reliability([0.5, 0.6], [0.0, 1.0], ["a", "a"])
    assert one_task.bins[0].outcome.low is None
    assert one_task.bias.low is None


@pytest.mark.parametrize(
    ("q", "outcomes", "message"),
    [
        ([math.nan, 0.1], [0.0, 0.0], r"q\[0\] is nan"),
        ([0.1, math.inf], [0.0, 0.0], r"q\[1\] is inf"),
        ([0.1, 0.1], [0.0, -math.inf], r"outcomes\[1\] is -inf"),
        ([0.1], [0.0, 0.0], r"q have shape \(1,\), expected \(2,\)"),
    ],
)
def test_broken_values_are_named(q: list[float], outcomes: list[float], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        reliability(q, outcomes, ["a", "b"])


def test_bins_cover_the_truth() -> None:
    """400 curves of 5 bins, 60 tasks of 10 values whose outcomes a shared luck correlates: 2,000 intervals."""
    rng = np.random.default_rng(1)
    tasks = [f"t{i}" for i in range(60) for _ in range(10)]
    hits: list[bool] = []
    for _ in range(400):
        q = rng.uniform(0.2, 0.8, 600)
        luck = np.repeat(rng.uniform(-0.2, 0.2, 60), 10)
        outcomes = (rng.random(600) < q + luck).astype(float)
        for one in reliability(q, outcomes, tasks, bins=5, repetitions=400).bins:
            assert one.outcome.low is not None
            assert one.outcome.high is not None
            hits.append(one.outcome.low <= one.q <= one.outcome.high)
    assert len(hits) == 2000
    assert 0.93 <= np.mean(hits) <= 0.97
