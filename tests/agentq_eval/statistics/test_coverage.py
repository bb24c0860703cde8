"""95 % intervals cover the truth in 93 to 97 % of 2,000 simulations, where their assumptions hold."""

from __future__ import annotations

import numpy as np
import pytest

from agentq_eval.statistics import Estimate, TaskBootstrap, interquartile_interval, t_interval, wilson

SIMULATIONS = 2000


def covers(estimate: Estimate, truth: float) -> bool:
    assert (estimate.low, estimate.high) != (None, None)
    above = estimate.low is None or estimate.low <= truth  # a share of a gap that may be none has an open end
    return above and (estimate.high is None or truth <= estimate.high)


def test_students_t() -> None:
    rng = np.random.default_rng(0)
    hits = [covers(t_interval(rng.normal(0.4, 1, 30)), 0.4) for _ in range(SIMULATIONS)]
    assert 0.93 <= np.mean(hits) <= 0.97


def test_clustered_t_where_plain_t_fails() -> None:
    rng = np.random.default_rng(1)
    tasks = [f"t{i}" for i in range(50) for _ in range(4)]
    plain, clustered = [], []
    for _ in range(SIMULATIONS):
        values = np.repeat(rng.normal(0, 1, 50), 4) + rng.normal(0, 1, 200)
        plain.append(covers(t_interval(values), 0.0))
        clustered.append(covers(t_interval(values, tasks), 0.0))
    assert 0.93 <= np.mean(clustered) <= 0.97
    assert np.mean(plain) < 0.85  # episodes of one task are no independent ones


def test_wilson_over_all_rates() -> None:
    rng = np.random.default_rng(2)
    rates = rng.random(SIMULATIONS)  # averaged over the rate; at single ones it swings
    wins = rng.binomial(200, rates)
    hits = [covers(wilson(int(won), 200), float(rate)) for won, rate in zip(wins, rates, strict=True)]
    assert 0.93 <= np.mean(hits) <= 0.97


@pytest.mark.parametrize("method", ["mean", "difference"])
def test_task_bootstrap(method: str) -> None:
    rng = np.random.default_rng(3)
    tasks = [f"t{i}" for i in range(120) for _ in range(2)]
    bootstrap = TaskBootstrap(tasks, repetitions=1000)
    hits = []
    for _ in range(SIMULATIONS):
        level = np.repeat(rng.beta(2, 2, 120), 2)
        values = (rng.random(240) < level).astype(float)
        if method == "mean":
            hits.append(covers(bootstrap.mean(values), 0.5))
        else:
            base = (rng.random(240) < level * 0.8).astype(float)
            hits.append(covers(bootstrap.difference(values, base), 0.1))
    assert 0.93 <= np.mean(hits) <= 0.97


def test_relative_gain_and_share_of_the_gap() -> None:
    rng = np.random.default_rng(4)
    ups = (0.0, 0.15, 0.3)
    population = rng.beta(4, 4, 1_000_000)
    base_mean, our_mean, top_mean = (np.minimum(population + up, 1).mean() for up in ups)
    bootstrap = TaskBootstrap([f"t{i}" for i in range(400)], repetitions=1000)
    gains, gaps = [], []
    for _ in range(SIMULATIONS):
        level = rng.beta(4, 4, 400)
        base, ours, top = ((rng.random(400) < np.minimum(level + up, 1)).astype(float) for up in ups)
        gains.append(covers(bootstrap.relative_gain(ours, base), our_mean / base_mean - 1))
        share = (our_mean - base_mean) / (top_mean - base_mean)
        gaps.append(covers(bootstrap.gap_closed(ours, top, base), share))
    assert 0.93 <= np.mean(gains) <= 0.97
    assert 0.93 <= np.mean(gaps) <= 0.97


def test_interquartile_mean_over_tasks() -> None:
    rng = np.random.default_rng(6)
    tasks = [f"t{i}" for i in range(100)]
    truth = 0.0  # of a symmetric law the middle half has the mean of the whole
    hits = [
        covers(interquartile_interval(rng.standard_t(3, 100), tasks, repetitions=200, seed=i), truth)
        for i in range(SIMULATIONS)
    ]
    assert 0.93 <= np.mean(hits) <= 0.97
