"""Selectors that look at heads, support or the policy, on cases worked out by hand."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agentq.critics.base import Scores
from agentq.errors import SelectorError
from agentq.objectives.aggregation import aggregate
from agentq.selectors import softmax
from agentq.selectors.base import BaseSelector
from agentq.selectors.best_of_n import BestOfN
from agentq.selectors.bounds import Bound, aggregated
from agentq.selectors.drawing import checked_values, one_hot
from agentq.selectors.epsilon_greedy import EpsilonGreedy
from agentq.selectors.fallback import Fallback
from agentq.selectors.pessimistic import Pessimistic
from agentq.selectors.reference import Reference
from agentq.selectors.registry import load_selector
from agentq.selectors.softmax import Softmax, TemperatureWarning, largest_temperature
from agentq.selectors.ucb import UpperConfidenceBound
from agentq.types import Candidate, FloatArray

INF = math.inf
#: Heads disagree about the first, are middling about the second, sure of the third; the last is invalid.
HEADS = np.array([[1.0, 0.45, 0.4, -INF], [0.2, 0.35, 0.4, -INF]])
STATE = Scores(np.array([0.6, 0.4, 0.4, -INF]), HEADS, support=np.array([3.0, 0.5, 2.0, INF]))


def made(*logprobs: float, counts: tuple[int, ...] = ()) -> list[Candidate]:
    counts = counts or (1,) * len(logprobs)
    pairs = zip(logprobs, counts, strict=True)
    return [Candidate(f"a{i}", f"a{i}", None, (i,), (p,), count) for i, (p, count) in enumerate(pairs)]


CANDIDATES = [*made(-1.0, -2.0, -0.5), Candidate("mumble", None, "no action")]


def chosen(selector: Any, scores: Scores = STATE, candidates: list[Candidate] | None = None) -> Any:
    return selector.select(scores, candidates or CANDIDATES, np.random.default_rng(0))


@settings(max_examples=80, deadline=None)
@given(
    heads=st.integers(1, 7).flatmap(
        lambda k: st.lists(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=3), min_size=k, max_size=k)
    ),
    c=st.floats(0, 3),
)
@pytest.mark.parametrize("bound", ["min", "mean", "mean_std", "soft_low"])
def test_bounds_are_those_of_training(bound: Any, heads: list[list[float]], c: float) -> None:
    values = np.array(heads)
    expected = aggregate(torch.from_numpy(values), bound, pessimism=c).numpy()
    np.testing.assert_allclose(aggregated(values, bound, c), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("bound", "index"), [("none", 0), ("mean", 0), ("min", 2), ("mean_std", 2), ("soft_low", 2)]
)
def test_best_of_n_by_bound(bound: Bound, index: int) -> None:
    expected = index if bound != "soft_low" else int(np.argmax(aggregated(HEADS[:, :3], "soft_low", 1.0)))
    assert chosen(BestOfN(bound=bound)).index == expected


def test_no_deviation_taken_off_is_the_mean() -> None:
    for c, index in ((0.0, 0), (0.4, 0), (0.9, 2)):
        assert chosen(BestOfN(bound="mean_std", pessimism=c)).index == index


def test_random_ties_are_shared() -> None:
    tied = Scores(np.array([0.4, 0.7, 0.7, -INF]))
    assert chosen(BestOfN("random"), tied).probabilities.tolist() == [0.0, 0.5, 0.5, 0.0]
    np.testing.assert_allclose(chosen(Softmax(1e-9), tied).probabilities, [0.0, 0.5, 0.5, 0.0])


@pytest.mark.parametrize(
    "selector",
    [BestOfN(bound="min"), UpperConfidenceBound(), Pessimistic(), Fallback(), Reference(bound="min")],
)
def test_missing_or_broken_heads_are_named(selector: Any) -> None:
    support = STATE.support
    with pytest.raises(SelectorError, match="no values per head"):
        chosen(selector, Scores(STATE.q, support=support))
    with pytest.raises(SelectorError, match=r"shape \(2, 3\)"):
        chosen(selector, Scores(STATE.q, HEADS[:, :3], support=support))
    with pytest.raises(SelectorError, match="candidate 0 has head values"):
        chosen(selector, Scores(STATE.q, HEADS - np.array([INF, 0, 0, 0]), support=support))


def test_reference_by_hand() -> None:
    scores, candidates = Scores(np.array([1.0, 0.0, -INF])), made(-1.0, -0.5, -0.1, counts=(1, 3, 4))
    even = 1 / (1 + math.exp(-2))
    rules = {"uniform": 1.0, "samples": 1 / 3, "logprob": math.exp(-0.5)}
    for prior, odds in rules.items():
        p = chosen(Reference(2.0, prior), scores, candidates).probabilities  # pyright: ignore[reportArgumentType]
        assert p[0] / p[1] == pytest.approx(odds * even / (1 - even))
    halved = chosen(Reference(2.0, "samples", 0.5), scores, candidates).probabilities
    assert halved[0] / halved[1] == pytest.approx(math.sqrt(1 / 3) * math.exp(2))


def test_reference_limits() -> None:
    candidates = made(-1.0, -2.0, -0.5, -0.1, counts=(1, 3, 4, 9))
    np.testing.assert_allclose(
        chosen(Reference(0.0), STATE, candidates).probabilities, [1 / 8, 3 / 8, 4 / 8, 0]
    )
    np.testing.assert_allclose(chosen(Reference(1e6), STATE, candidates).probabilities, [1, 0, 0, 0])
    p = chosen(Reference(10.0, weight=0.0), STATE, candidates).probabilities
    np.testing.assert_allclose(p, chosen(Softmax(0.1), STATE, candidates).probabilities)
    value = Reference(1e4).value(STATE, candidates)
    assert value == pytest.approx(0.6, abs=1e-3)  # the best, from below
    assert Reference(1e-6).value(STATE, candidates) == pytest.approx(0.6 / 8 + 0.4 * 7 / 8, abs=1e-6)
    with pytest.raises(SelectorError, match="eta > 0"):
        Reference(0.0).value(STATE, candidates)


def test_reference_per_token_does_not_prefer_short_actions() -> None:
    short = Candidate("a", "a", token_ids=(1,), token_logprobs=(-2.0,))
    long = Candidate("b", "b", token_ids=(1, 2, 3), token_logprobs=(-1.0, -1.0, -1.0))
    even = Scores(np.zeros(2))
    assert chosen(Reference(1.0, "logprob", choose="argmax"), even, [long, short]).index == 1
    assert chosen(Reference(1.0, "logprob_norm", choose="argmax"), even, [long, short]).index == 0
    with pytest.raises(SelectorError, match="candidate 0 has log-probability None"):
        chosen(Reference(1.0, "logprob"), Scores(np.zeros(1)), [Candidate("a", "a")])


def test_far_candidates_are_excluded() -> None:
    assert chosen(Pessimistic(threshold=None)).index == 2
    assert chosen(Pessimistic(threshold=2.0)).index == 2
    assert chosen(Pessimistic(threshold=1.0)).index == 1  # the sure one is too far
    assert chosen(Pessimistic(threshold=1.0)).flags == ()


def test_the_nearest_is_chosen_and_flagged_where_all_are_far() -> None:
    selection = chosen(Pessimistic(threshold=0.2))
    assert (selection.index, selection.flags) == (1, ("unsupported",))


def test_far_candidates_are_penalised_by_slope() -> None:
    def by(slope: float, threshold: float = 1.0) -> Any:
        return chosen(Pessimistic(threshold, "penalise", slope))

    assert [by(slope).index for slope in (0.0, 0.04, 0.06)] == [2, 2, 1]  # 0.4 - slope against 0.35
    assert by(0.0, 0.2).flags == ("unsupported",)
    assert by(0.06).flags == ()


def test_support_that_is_missing_or_no_distance_is_named() -> None:
    with pytest.raises(SelectorError, match="says nothing about support"):
        chosen(Pessimistic(), Scores(STATE.q, HEADS))
    with pytest.raises(SelectorError, match="one finite distance"):
        chosen(Pessimistic(), Scores(STATE.q, HEADS, support=np.array([1.0, INF, 1.0, 1.0])))
    with pytest.raises(SelectorError, match="one finite distance"):
        chosen(Pessimistic(), Scores(STATE.q, HEADS, support=np.array([1.0])))


def test_epsilon_by_hand() -> None:
    candidates = made(-1.0, -1.0, -1.0, -1.0, counts=(1, 2, 5, 9))
    np.testing.assert_allclose(chosen(EpsilonGreedy(0.3)).probabilities, [0.8, 0.1, 0.1, 0.0])
    by_samples = chosen(EpsilonGreedy(0.4, "samples"), STATE, candidates).probabilities
    np.testing.assert_allclose(by_samples, [0.6 + 0.05, 0.1, 0.25, 0.0])
    np.testing.assert_allclose(chosen(EpsilonGreedy(0.0)).probabilities, [1.0, 0.0, 0.0, 0.0])


def test_ucb_tries_what_heads_disagree_about() -> None:
    heads = np.array([[0.5, 0.8, 0.7], [0.5, 0.2, 0.5]])  # mean 0.5, 0.5, 0.6; std 0, 0.3, 0.1
    scores = Scores(heads.mean(axis=0), heads)
    candidates = made(-1.0, -1.0, -1.0, counts=(1, 9, 1))
    by_bonus = [chosen(UpperConfidenceBound(c), scores, candidates).index for c in (0.0, 0.4, 0.6, 1.0)]
    assert by_bonus == [2, 2, 1, 1]
    assert chosen(UpperConfidenceBound(1.0, "samples"), scores, candidates).index == 2  # 0.3 / sqrt 9
    with pytest.raises(SelectorError, match="1 head, expected at least 2"):
        chosen(UpperConfidenceBound(), Scores(scores.q, heads[:1]), candidates)


def test_the_baseline_is_kept_unless_beaten_by_the_margin() -> None:
    heads = np.array([[0.5, 0.9, 0.6], [0.5, 0.4, 0.7]])
    scores = Scores(heads.mean(axis=0), heads)
    candidates = made(-1.0, -0.1, -3.0, counts=(1, 2, 5))
    beaten = chosen(Fallback(), scores, candidates)
    assert (beaten.index, beaten.flags) == (2, ())  # min 0.6 > mean 0.5
    kept = chosen(Fallback(margin=0.2), scores, candidates)
    assert (kept.index, kept.flags) == (0, ("baseline_kept",))
    likeliest = chosen(Fallback("likeliest"), scores, candidates)
    assert (likeliest.index, likeliest.flags) == (1, ("baseline_kept",))  # min 0.6 < mean 0.65
    same = chosen(Fallback("majority", margin=9.0), scores, candidates)
    assert (same.index, same.flags) == (2, ())  # baseline and critic agree


def test_fallback_is_never_below_the_baseline_where_the_bounds_hold() -> None:
    rng = np.random.default_rng(0)
    gains = []
    for _ in range(2000):
        truth = rng.normal(size=6)
        error = np.sort(rng.uniform(0, 2, size=(2, 6)), axis=0)
        heads = truth + np.array([[-1.0], [1.0]]) * error  # the minimum is below the truth, the mean above
        scores = Scores(heads.min(axis=0), heads)
        index = chosen(Fallback(), scores, made(*[-1.0] * 6)).index
        gains.append(truth[index] - truth[0])
    assert min(gains) > -1e-9
    assert np.mean(gains) > 0.3


def test_largest_temperature_is_the_formula() -> None:
    assert largest_temperature(1.0, 5) == pytest.approx(0.231, abs=5e-4)
    for gap, n, failure in ((1.0, 5, 0.05), (0.3, 8, 0.2)):
        values = Scores(np.array([gap] + [0.0] * (n - 1)))
        p = Softmax(largest_temperature(gap, n, failure)).probabilities(values, made(*[-1.0] * n))
        assert 1 - p[0] == pytest.approx(failure)
    assert largest_temperature(1.0, 1) == largest_temperature(1.0, 2, 0.5) == INF
    with pytest.raises(SelectorError, match="0 < failure < 1"):
        largest_temperature(1.0, 3, 1.0)


def test_a_large_temperature_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softmax, "_observed", {})
    small = Scores(np.array([0.06, 0.0, 0.01, -INF]))
    flat = Scores(np.array([0.0, 0.0, 0.0, -INF]))  # equal values say nothing about gaps
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(31):
            chosen(Softmax(0.5), small)
        for _ in range(50):
            chosen(Softmax(0.5), flat)
            chosen(Softmax(0.01), small)
    with pytest.warns(
        TemperatureWarning, match=r"temperature 0.5 is large.*Near 0.016 it is missed in 5 %"
    ) as told:
        chosen(Softmax(0.5), small)
    assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(100):
            chosen(Softmax(0.5), small)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("best_of_n", {"ties": "last"}, "ties is 'last', expected one of 'first', 'random'"),
        ("best_of_n", {"bound": "max"}, "bound is 'max'"),
        ("best_of_n", {"pessimism": -1.0}, "pessimism is -1.0, expected a number of at least 0"),
        ("reference", {"eta": math.nan}, "eta is nan"),
        ("reference", {"prior": "votes"}, "prior is 'votes'"),
        ("reference", {"scale": "range"}, "scale is 'range'"),
        ("epsilon_greedy", {"epsilon": 1.5}, "epsilon is 1.5, expected a number from 0 to 1"),
        ("ucb", {"bonus": -0.1}, "bonus is -0.1"),
        ("pessimistic", {"threshold": -1.0}, "threshold is -1.0"),
        ("pessimistic", {"far": "drop"}, "far is 'drop'"),
        ("fallback", {"baseline": "oracle"}, "baseline is 'oracle'"),
        ("fallback", {"margin": INF}, "margin is inf"),
    ],
)
def test_impossible_options_are_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SelectorError, match=message):
        load_selector(name, **options)


@dataclass(frozen=True)
class Cheapest(BaseSelector):
    """The example of docs/selectors.md."""

    name = "cheapest"
    slack: float = 0.05

    def probabilities(self, scores: Scores, candidates: Sequence[Candidate]) -> FloatArray:
        values = checked_values(scores, candidates, self.name)
        lengths = [len(candidate.text) for candidate in candidates]
        good = np.where(values >= values.max() - self.slack, lengths, np.inf)
        return one_hot(int(np.argmin(good)), len(values))


def test_the_documented_selector_of_ones_own() -> None:
    candidates = [Candidate(text, text) for text in ("a long one", "short", "x")]
    scores = Scores(np.array([0.9, 0.87, 0.2]))
    selection = chosen(Cheapest(), scores, candidates)
    assert (selection.index, selection.draw) == (1, None)
    assert Cheapest().replay(scores, candidates, None) == 1
    assert chosen(Cheapest(slack=0.0), scores, candidates).index == 0
