"""rliable's estimators: its numbers (version 1.2.0) on two small tables, and the package itself where it is there."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from agentq.errors import EvaluationError
from agentq_eval.statistics import (
    interquartile_interval,
    interquartile_mean,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
    stratified_interval,
)

_RNG = np.random.default_rng(7)
OURS = np.round(_RNG.random((5, 9)), 3)  # (seeds, tasks)
BASE = np.round(_RNG.random((4, 9)) * 0.9, 3)
BASE[0] = OURS[0]  # ties


def test_the_numbers_are_rliables() -> None:
    assert interquartile_mean(OURS) == pytest.approx(0.4822608695652174, abs=1e-12)
    assert optimality_gap(OURS, 0.8) == pytest.approx(0.3304444444444444, abs=1e-12)
    assert probability_of_improvement(OURS, BASE) == pytest.approx(0.5138888888888888, abs=1e-12)
    profile = performance_profile(OURS, (0.1, 0.3, 0.5, 0.9))
    assert profile == pytest.approx(
        [0.8888888888888888, 0.6444444444444445, 0.5111111111111111, 0.0666666666666667]
    )


def test_the_intervals_are_rliables() -> None:
    """Its 20,000 and 5,000 resamples gave these limits; ours differ by the noise of resampling."""
    found = stratified_interval(interquartile_mean, OURS, repetitions=4000)
    assert (found.low, found.high) == pytest.approx((0.38795652, 0.58295761), abs=0.01)
    found = stratified_interval(probability_of_improvement, OURS, BASE, repetitions=4000)
    assert (found.low, found.high) == pytest.approx((0.38611111, 0.63888889), abs=0.01)
    assert stratified_interval(interquartile_mean, OURS, repetitions=50) == stratified_interval(
        interquartile_mean, OURS, repetitions=50
    )


def test_the_interquartile_mean_is_the_trimmed_mean() -> None:
    assert interquartile_mean(OURS) == pytest.approx(scipy.stats.trim_mean(OURS.ravel(), 0.25))
    values = np.random.default_rng(2).random(40)
    found = interquartile_interval(values, [str(i) for i in range(40)])
    assert found.value == pytest.approx(scipy.stats.trim_mean(values, 0.25))
    assert found.low is not None
    assert found.high is not None
    assert found.value is not None
    assert found.low < found.value < found.high


def test_one_seed_has_nothing_to_resample() -> None:
    found = stratified_interval(interquartile_mean, OURS[:1])
    assert found.value is not None
    assert (found.low, found.high) == (None, None)
    assert interquartile_interval([0.4, 0.6], ["a", "a"]).low is None
    assert interquartile_interval([], []).value is None


def test_tables_that_do_not_fit_are_refused() -> None:
    with pytest.raises(EvaluationError, match="9 and 8 tasks"):
        probability_of_improvement(OURS, BASE[:, :8])
    for wrong in ([0.1, 0.2], np.zeros((0, 3)), [[np.nan]]):
        with pytest.raises(EvaluationError, match="expected finite numbers as"):
            interquartile_mean(wrong)
