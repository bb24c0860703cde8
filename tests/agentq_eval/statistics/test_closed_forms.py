"""Closed forms against scipy and statsmodels, and what is undefined or refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
import statsmodels.api
import statsmodels.stats.contingency_tables
import statsmodels.stats.multitest
import statsmodels.stats.power
import statsmodels.stats.proportion

from agentq.errors import EvaluationError
from agentq_eval.statistics import (
    clustered_error,
    detectable_difference,
    holm,
    mcnemar,
    minimum_detectable,
    paired_t,
    standard_error,
    success_deviation,
    t_interval,
    tasks_needed,
    wilcoxon,
    wilson,
)

RNG = np.random.default_rng(0)
SCORES = RNG.random(40)
TASKS = [f"t{i // 4}" for i in range(40)]


def test_the_t_interval_is_scipys() -> None:
    found = t_interval(SCORES, confidence=0.9)
    low, high = scipy.stats.t.interval(0.9, 39, loc=SCORES.mean(), scale=scipy.stats.sem(SCORES))
    assert (found.value, found.low, found.high) == pytest.approx((SCORES.mean(), low, high))
    assert standard_error(SCORES) == pytest.approx(scipy.stats.sem(SCORES))
    alone = t_interval(SCORES, [str(i) for i in range(40)], 0.9)  # every task once: the same
    assert (alone.low, alone.high) == pytest.approx((low, high))


def test_the_clustered_error_is_statsmodels() -> None:
    groups = np.array([int(task[1:]) for task in TASKS])
    fit = statsmodels.api.OLS(SCORES, np.ones(40)).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}
    )
    expected = float(fit.bse[0]) * math.sqrt(10 / 9)  # ours has the factor C / (C - 1)
    assert clustered_error(SCORES, TASKS) == pytest.approx(expected)
    found = t_interval(SCORES, TASKS)
    half = scipy.stats.t.ppf(0.975, 9) * expected
    assert (found.low, found.high) == pytest.approx((SCORES.mean() - half, SCORES.mean() + half))
    copies = clustered_error(np.repeat(SCORES, 3), [t for t in TASKS for _ in range(3)])
    assert copies == pytest.approx(
        clustered_error(SCORES, TASKS)
    )  # a copy of every episode tells nothing new


def test_paired_tests_are_scipys() -> None:
    base = np.clip(SCORES + RNG.normal(-0.1, 0.2, 40), 0, 1)
    found = paired_t(SCORES, base)
    low, high = scipy.stats.ttest_rel(SCORES, base).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))
    tested: Any = scipy.stats.wilcoxon(SCORES - base)
    assert wilcoxon(SCORES, base) == pytest.approx(tested.pvalue)
    assert wilcoxon(base, base) == 1


@pytest.mark.parametrize("seed", range(5))
def test_mcnemar_is_statsmodels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ours, base = rng.random(60) < 0.6, rng.random(60) < 0.4
    table = [[(ours & base).sum(), (ours & ~base).sum()], [(~ours & base).sum(), (~ours & ~base).sum()]]
    found = mcnemar(ours, base)
    tested: Any = statsmodels.stats.contingency_tables.mcnemar(table, exact=True)
    assert found.p == pytest.approx(tested.pvalue)
    assert (found.won, found.lost) == (table[0][1], table[1][0])
    assert found.mid_p < found.p
    same = mcnemar(ours, ours)
    assert (same.won, same.lost, same.p, same.mid_p) == (0, 0, 1.0, 1.0)
    tie = mcnemar([1, 0], [0, 1])
    assert (tie.p, tie.mid_p) == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize(("won", "n"), [(0, 50), (50, 50), (7, 9), (130, 200)])
def test_wilson_is_statsmodels(won: int, n: int) -> None:
    found = wilson(won, n)
    low, high = statsmodels.stats.proportion.proportion_confint(won, n, method="wilson")
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low > 0.03


def test_holm_is_statsmodels() -> None:
    p_values = list(RNG.random(12) ** 3)
    expected: Any = statsmodels.stats.multitest.multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(list(expected))
    assert holm([]) == []


def test_sample_sizes_are_statsmodels() -> None:
    paired = statsmodels.stats.power.NormalIndPower(ddof=0)
    for difference, deviation, power in ((0.05, 0.4, 0.8), (0.02, 0.3, 0.9), (0.2, 0.5, 0.5)):
        effect = difference / deviation
        one = paired.solve_power(effect_size=effect, alpha=0.05, power=power, ratio=0)
        two = paired.solve_power(effect_size=effect, alpha=0.05, power=power, ratio=1)
        assert abs(tasks_needed(difference, deviation, power) - one) <= 1
        assert abs(tasks_needed(difference, deviation, power, paired=False) - two) <= 1
        n = tasks_needed(difference, deviation, power)
        assert minimum_detectable(n, deviation, power) == pytest.approx(difference, rel=0.05)
    assert minimum_detectable(1, 0.3) is None
    # 60 % against 65 % unpaired: about 1,470 tasks in each arm
    deviation = success_deviation(0.6, 0.65) / math.sqrt(2)
    assert tasks_needed(0.05, deviation, paired=False) == pytest.approx(1470, rel=0.01)


def test_the_power_is_what_was_asked_for() -> None:
    n = tasks_needed(0.1, 0.4, 0.8)
    differences = np.random.default_rng(1).normal(0.1, 0.4, (2000, n))
    errors = differences.std(axis=1, ddof=1) / math.sqrt(n)
    assert (np.abs(differences.mean(axis=1)) > 1.96 * errors).mean() == pytest.approx(0.8, abs=0.03)
    seen = detectable_difference(differences[0], [str(i) for i in range(n)])
    assert seen == pytest.approx(0.1, rel=0.15)


def test_paired_successes_vary_less_when_they_agree() -> None:
    assert (
        success_deviation(0.6, 0.5, 0.1)
        < success_deviation(0.6, 0.5, 0.5)
        < success_deviation(0.6, 0.5) + 0.02
    )
    ours, base = (np.random.default_rng(2).random((2, 100_000)) < 0.5).astype(float)
    assert success_deviation(0.5, 0.5, float((ours != base).mean())) == pytest.approx(
        (ours - base).std(), rel=0.01
    )
    with pytest.raises(EvaluationError, match=r"expected between 0.1 and 0.9"):
        success_deviation(0.6, 0.5, 0.05)


def test_too_little_is_undefined() -> None:
    assert t_interval([]).value is None
    for one in (t_interval([0.5]), t_interval([0.5, 0.7], ["a", "a"]), paired_t([1.0], [0.0])):
        assert one.value is not None
        assert one.low is None
        assert one.high is None
    assert standard_error([1.0]) is None
    assert clustered_error([1.0, 0.0], ["a", "a"]) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: t_interval([0.5, math.nan]), r"values\[1\] is nan"),
        (lambda: t_interval([0.5, 0.6], ["a"]), "1 tasks for 2 values"),
        (lambda: t_interval([0.5, 0.6], confidence=95), "confidence=95"),
        (lambda: paired_t([0.5], [0.6, 0.7]), "1 and 2 values"),
        (lambda: mcnemar([0.5], [1]), "neither 0 nor 1"),
        (lambda: holm([0.5, 1.5]), r"p_values\[1\] is 1.5"),
        (lambda: tasks_needed(0, 0.4), "difference=0"),
        (lambda: tasks_needed(0.1, -1), "deviation=-1"),
        (lambda: tasks_needed(0.1, 0.4, power=1.0), "power=1.0"),
    ],
)
def test_bad_input_is_named(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(EvaluationError, match=message):
        call()
