"""What a point of score costs, and which candidates were of no use."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agentq.errors import EvaluationError
from agentq_eval.episodes import EpisodeResult
from agentq_eval.statistics import wilson
from agentq_eval.value_metrics import cost_of_gain, price_per_point, proposal_rates, ratio_of_counts


def episode(
    task: str, score: float = 0.5, tokens: int = 100, seconds: float = 1.0, seed: int = 0, **more: Any
) -> EpisodeResult:
    return EpisodeResult(
        "arm", 1, task, seed, score, score == 1, 3, seconds, tokens, 3, "finished", **more
    )  # fmt: skip


def test_cost_is_paired_by_task_and_seed() -> None:
    base = [episode("a", 0.2), episode("b", 0.4), episode("only here", 0.9, 10_000)]
    ours = [episode("b", 0.5, 500, 1.5), episode("a", 0.5, 300, 2.0), episode("a", 0.0, seed=1)]
    found = cost_of_gain(ours, base)
    assert found.points.value == pytest.approx(20)
    assert found.points.n == 2
    assert found.tokens.extra.value == pytest.approx(300)
    assert found.tokens.per_point.value == pytest.approx(15)
    assert found.seconds.per_point.value == pytest.approx(0.75 / 20)


@pytest.mark.parametrize("score", [0.5, 0.3])
def test_without_a_gain_there_is_no_price(score: float) -> None:
    base = [episode(t, 0.5) for t in "abcd"]
    found = cost_of_gain([episode(t, score, 300) for t in "abcd"], base)
    assert (found.tokens.per_point.value, found.tokens.per_point.low) == (None, None)
    assert found.tokens.extra.value == 200
    nothing = cost_of_gain([], base)
    assert (nothing.points.value, nothing.tokens.per_point.value) == (None, None)


def test_a_gain_that_may_be_none_has_no_highest_price() -> None:
    gained = np.random.default_rng(0).normal(0.02, 0.3, 60)
    found = price_per_point(gained, np.full(60, 200.0), [str(i) for i in range(60)])
    assert gained.mean() > 0
    assert found.per_point.low is not None
    assert found.per_point.high is None


def test_an_episode_twice_is_refused() -> None:
    with pytest.raises(EvaluationError, match="task 'a', seed 0 is there twice"):
        cost_of_gain([episode("a"), episode("a")], [episode("a")])
    with pytest.raises(EvaluationError, match=r"gained\[0\] is nan"):
        price_per_point([float("nan"), 1], [1, 1], ["a", "b"])


def test_prices_cover_the_truth() -> None:
    rng = np.random.default_rng(1)
    tasks = [str(i) for i in range(300)]
    hits = 0
    for _ in range(2000):
        hard = rng.random(300)  # hard tasks cost more and gain more
        gained = 0.2 * hard + rng.normal(0, 0.2, 300)
        found = price_per_point(gained, 100 + 400 * hard, tasks, repetitions=200).per_point
        hits += int((found.low or 0) <= 300 / 10 <= (found.high or np.inf))
    assert 0.93 <= hits / 2000 <= 0.97


def test_rates_count_candidates_not_episodes() -> None:
    results = [
        episode("a", samples=30, unparsed=3, duplicates=10),
        episode("b", samples=10, unparsed=3),
        episode("c"),  # drew nothing
    ]
    found = proposal_rates(results)
    assert found.parser_failures.value == pytest.approx(6 / 40)
    assert found.duplicates.value == pytest.approx(10 / 40)
    assert found.duplicates.n == 40
    assert found.parser_failures.low == pytest.approx(0.1)
    assert found.parser_failures.high == pytest.approx(0.3)


def test_none_and_all_have_width_one_task_and_no_draws_are_undefined() -> None:
    clean = [episode(f"t{i // 2}", samples=8, seed=i) for i in range(40)]
    found = proposal_rates(clean).parser_failures
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(wilson(0, 20).high)  # 20 tasks
    spoilt = proposal_rates([replace(one, unparsed=8) for one in clean]).parser_failures
    assert (spoilt.value, spoilt.high) == (1.0, 1.0)
    assert spoilt.low == pytest.approx(wilson(20, 20).low)
    alone = proposal_rates([episode("a", samples=4, unparsed=1)]).parser_failures
    assert (alone.value, alone.low) == (0.25, None)
    assert proposal_rates([episode("a"), episode("b")]).duplicates.value is None
    assert proposal_rates([]).duplicates.value is None


def test_impossible_counts_are_named() -> None:
    with pytest.raises(EvaluationError, match=r"counts\[1\] is 5 of 4"):
        ratio_of_counts([1, 5], [4, 4], ["a", "b"])
    with pytest.raises(EvaluationError, match="1 counts, 2 totals and 2 tasks"):
        ratio_of_counts([1], [4, 4], ["a", "b"])


def test_rates_cover_the_truth() -> None:
    rng = np.random.default_rng(2)
    tasks = [str(i) for i in range(150)]
    hits = 0
    for _ in range(2000):
        totals = rng.integers(8, 60, 150)
        counts = rng.binomial(totals, rng.beta(2, 8, 150))  # some tasks are hard to phrase
        found = ratio_of_counts(counts, totals, tasks, repetitions=200)
        hits += int((found.low or 0) <= 0.2 <= (found.high or 1))
    assert 0.93 <= hits / 2000 <= 0.97
