from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from agentq.errors import EvaluationError
from agentq_eval.statistics import Estimate, TaskBootstrap, wilson


def tasks(count: int, seeds: int = 1) -> list[str]:
    return [f"task-{i}" for i in range(count) for _ in range(seeds)]


@given(n=st.integers(1, 400), share=st.floats(0, 1), confidence=st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_equals_scipy(n: int, share: float, confidence: float) -> None:
    successes = round(share * n)
    ours = wilson(successes, n, confidence)
    theirs = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_wilson_at_the_ends_has_width() -> None:
    assert astuple(wilson(0, 50)) == (0.0, 0.0, pytest.approx(0.0713, abs=1e-4), 50)
    assert wilson(50, 50).low == pytest.approx(1 - 0.0713, abs=1e-4)
    assert wilson(0, 0) == Estimate(None, None, None, 0)
    with pytest.raises(EvaluationError, match="3 successes of 2"):
        wilson(3, 2)


def test_mean_and_difference_agree_with_scipy_bootstrap() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(150)
    values = np.clip(base + rng.normal(0.1, 0.1, 150), 0, 1)
    bootstrap = TaskBootstrap(tasks(150))
    for ours, data in [
        (bootstrap.mean(values), values),
        (bootstrap.difference(values, base), values - base),
    ]:
        theirs = stats.bootstrap(
            (data,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(1)
        ).confidence_interval
        width = theirs.high - theirs.low
        assert ours.value == pytest.approx(data.mean())
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.05 * width)


def test_relative_gain_agrees_with_scipy_paired_bootstrap() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(200)
    values = base * 0.5 + rng.random(200)
    ours = TaskBootstrap(tasks(200)).relative_gain(values, base)
    theirs = stats.bootstrap(
        (values, base),
        lambda a, b, axis: a.mean(axis) / b.mean(axis) - 1,  # pyright: ignore[reportUnknownLambdaType]
        paired=True,
        n_resamples=10_000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert ours.value == pytest.approx(values.mean() / base.mean() - 1)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=0.05)


def test_equal_arguments_give_equal_intervals_and_the_order_of_tasks_does_not_matter() -> None:
    values = np.random.default_rng(0).random(40)
    one = TaskBootstrap(tasks(20, 2)).mean(values)
    assert TaskBootstrap(tasks(20, 2)).mean(values) == one
    assert TaskBootstrap(tasks(20, 2), seed=1).mean(values) != one
    order = np.random.default_rng(1).permutation(40)
    shuffled = TaskBootstrap([tasks(20, 2)[i] for i in order]).mean(values[order])
    assert (shuffled.low, shuffled.high) == pytest.approx((one.low, one.high))


def coverage(seeds: int, clustered: bool) -> float:
    """Share of 200 simulated evaluations (60 tasks) whose interval holds the true mean 0.5."""
    rng = np.random.default_rng(7)
    hits = 0
    for repetition in range(200):
        difficulty = np.repeat(rng.random(60), seeds)
        names = tasks(60, seeds) if clustered else tasks(60 * seeds)
        found = TaskBootstrap(names, repetitions=400, seed=repetition).mean(
            rng.random(60 * seeds) < difficulty
        )
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0.5 <= found.high
    return hits / 200


def test_intervals_cover_and_ignoring_tasks_does_not() -> None:
    assert 0.91 <= coverage(seeds=1, clustered=True) <= 0.98
    assert 0.91 <= coverage(seeds=8, clustered=True) <= 0.98
    assert coverage(seeds=8, clustered=False) < 0.85


def test_pairing_narrows_the_difference() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(100)
    values = base + 0.05 + rng.normal(0, 0.01, 100)
    bootstrap = TaskBootstrap(tasks(100))
    paired, alone = bootstrap.difference(values, base), bootstrap.mean(values)
    assert paired.low is not None
    assert paired.low > 0.04
    assert alone.high is not None
    assert alone.low is not None
    assert alone.high - alone.low > 0.1


def test_strata_remove_the_variation_between_them() -> None:
    values = [0.0] * 30 + [1.0] * 30
    strata = ["easy"] * 30 + ["hard"] * 30
    assert TaskBootstrap(tasks(60), strata).mean(values) == Estimate(0.5, 0.5, 0.5, 60)
    free = TaskBootstrap(tasks(60)).mean(values)
    assert free.low is not None
    assert free.low < 0.45
    with pytest.raises(EvaluationError, match="'task-0' is in two of the strata"):
        TaskBootstrap(["task-0", "task-0"], ["a", "b"])


def test_gap_closed_and_gain_use_the_better_base() -> None:
    bootstrap = TaskBootstrap(tasks(4))
    half, low, top = [0.5] * 4, [0.1, 0.2, 0.1, 0.2], [0.9] * 4
    closed = bootstrap.gap_closed([0.8] * 4, top, half, low)
    assert astuple(closed) == pytest.approx((0.75, 0.75, 0.75, 4))
    assert bootstrap.relative_gain([1.0] * 4, low, half).value == 1.0


def test_what_cannot_be_said_is_none() -> None:
    undefined = Estimate(None, None, None, 4)
    bootstrap = TaskBootstrap(tasks(4))
    assert bootstrap.relative_gain([1.0] * 4, [0.0] * 4) == undefined
    assert bootstrap.gap_closed([0.5] * 4, [0.5] * 4, [0.5] * 4) == undefined
    assert TaskBootstrap(["a"]).mean([0.3]) == Estimate(0.3, None, None, 1)
    assert TaskBootstrap(["a", "a"]).rate([1, 0]) == Estimate(0.5, None, None, 2)
    assert TaskBootstrap([]).mean([]) == Estimate(None, None, None, 0)
    # One success in four: many resamples have a base of 0, so the gain has no upper limit.
    gain = bootstrap.relative_gain([1.0] * 4, [1.0, 0.0, 0.0, 0.0])
    assert gain.value == 3.0
    assert gain.low is not None
    assert gain.high is None


def test_rates_use_the_effective_number_of_episodes() -> None:
    same_within_task = np.repeat([0, 1] * 20, 5)
    bootstrap = TaskBootstrap(tasks(40, 5))
    assert bootstrap.effective_episodes(same_within_task) == pytest.approx(40)
    assert bootstrap.rate(same_within_task) == Estimate(0.5, wilson(20, 40).low, wilson(20, 40).high, 200)
    independent = np.tile([0, 1, 0, 1, 0, 1, 0, 1, 0, 1], 20)[:200]
    assert bootstrap.effective_episodes(independent) == pytest.approx(200)
    assert bootstrap.rate([0] * 200).high == wilson(0, 40).high
    assert bootstrap.score([1.0] * 200).low == wilson(40, 40).low


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b: b.mean([1.0]), "expected one each"),
        (lambda b: b.mean([1.0, float("nan")]), "value 1 is not finite"),
        (lambda b: b.rate([0.5, 1.0]), "neither 0 nor 1"),
        (lambda b: b.score([0.5, 10.0]), "outside"),
        (lambda b: b.relative_gain([0.5, 1.0]), "no base"),
        (lambda b: TaskBootstrap(["a"], repetitions=0), "repetitions=0"),
        (lambda b: TaskBootstrap(["a"], ["x", "y"]), "2 strata for 1 episodes"),
    ],
)
def test_bad_input_is_refused(call: Any, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        call(TaskBootstrap(["a", "b"]))
