"""Each selector on small cases, and what all of them promise, with random values."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agentq.critics.base import Scores
from agentq.errors import ConfigError, SelectorError
from agentq.selectors import load_selector, options_of, registry, selector_names
from agentq.selectors.base import Selector
from agentq.selectors.best_of_n import BestOfN
from agentq.selectors.bounds import aggregated
from agentq.selectors.drawing import index_of_draw
from agentq.selectors.epsilon_greedy import EpsilonGreedy
from agentq.selectors.fallback import Fallback
from agentq.selectors.first import First
from agentq.selectors.likeliest import Likeliest
from agentq.selectors.majority import MajorityVote
from agentq.selectors.pessimistic import Pessimistic
from agentq.selectors.reference import Reference
from agentq.selectors.sample import OneSample
from agentq.selectors.softmax import Softmax
from agentq.selectors.ucb import UpperConfidenceBound
from agentq.types import Candidate

INF = math.inf
#: Every selector that the registry finds, with its defaults, and more settings of those that have some.
ALL: list[Any] = [
    *(load_selector(name) for name in selector_names()),
    *(
        BestOfN(ties, bound)
        for ties in ("first", "random")
        for bound in ("min", "mean", "mean_std", "soft_low")
    ),
    Likeliest(per_token=True),
    Softmax(temperature=1e-3),
    Softmax(temperature=3.0, scale="std"),
    Softmax(temperature=0.5, scale="max"),
    *(Reference(prior=prior) for prior in ("uniform", "logprob", "logprob_norm")),
    Reference(eta=2.0, scale="std", weight=0.5, bound="min"),
    Reference(choose="argmax", prior="logprob", scale="max"),
    EpsilonGreedy(1.0, "samples"),
    UpperConfidenceBound(discount="samples"),
    Pessimistic(far="penalise", bound="soft_low"),
    Pessimistic(threshold=None),
    Fallback("likeliest", margin=0.5),
    Fallback("majority", bound="none", baseline_bound="none"),
]
#: Those whose distribution may not depend on the order of the candidates.
ORDERLESS = [
    selector
    for selector in ALL
    if isinstance(selector, Softmax | OneSample)
    or getattr(selector, "ties", getattr(selector, "choose", "")) in ("random", "sample")
]


def candidates(
    n: int, counts: Sequence[int] | None = None, logprobs: Sequence[float] | None = None
) -> list[Candidate]:
    counts = counts or [1] * n
    logprobs = logprobs or [-1.0] * n
    return [
        Candidate(f"a{i}", f"a{i}", token_ids=(i,), token_logprobs=(logprobs[i],), count=counts[i])
        for i in range(n)
    ]


def scored(q: Sequence[float], spread: float = 0.1, support: Sequence[float] | None = None) -> Scores:
    """Two heads around q and, unless given, support of 0."""
    values = np.array(q, dtype=np.float64)
    far = np.where(np.isneginf(values), INF, 0.0) if support is None else np.array(support, dtype=np.float64)
    return Scores(values, np.stack([values - spread, values + spread]), support=far)


def choose(selector: Any, q: Sequence[float], cands: Sequence[Candidate] | None = None, seed: int = 0) -> Any:
    cands = candidates(len(q)) if cands is None else cands
    return selector.select(scored(q), cands, np.random.default_rng(seed))


values = st.lists(
    st.one_of(st.just(-INF), st.floats(-1e6, 1e6), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=9
)


@st.composite
def states(draw: st.DrawFn) -> tuple[Scores, list[Candidate]]:
    """Scores of up to nine candidates, of which at least one is usable, K = 1 to 4 heads, and the candidates."""
    q = np.array(draw(values))
    assume(np.isfinite(q).any())
    n = len(q)

    def row(strategy: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(strategy, min_size=n, max_size=n))

    heads = np.array([row(st.floats(-1e6, 1e6)) for _ in range(draw(st.integers(2, 4)))])
    support = np.where(np.isfinite(q), row(st.floats(0, 5)), INF)
    made = candidates(n, row(st.integers(1, 5)), row(st.floats(-50, 0)))
    return Scores(q, np.where(np.isfinite(q), heads, -INF), support=support), made


@settings(max_examples=40, deadline=None)
@given(state=states(), seed=st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("selector", ALL, ids=repr)
def test_promises_of_every_selector(selector: Any, state: tuple[Scores, list[Candidate]], seed: int) -> None:
    scores, cands = state
    selection = selector.select(scores, cands, np.random.default_rng(seed))
    p = selection.probabilities
    assert p.shape == scores.q.shape
    assert p.sum() == pytest.approx(1.0, abs=1e-12)
    assert (p >= 0).all()
    assert (p[np.isneginf(scores.q)] == 0).all()
    assert p[selection.index] > 0
    assert (selection.draw is not None) == selector.draws
    assert selector.replay(scores, cands, selection.draw) == selection.index
    assert selector.probabilities(scores, cands).tobytes() == p.tobytes()
    again = selector.select(scores, cands, np.random.default_rng(seed))
    assert (again.index, again.draw, again.flags) == (selection.index, selection.draw, selection.flags)
    assert again.probabilities.tobytes() == p.tobytes()
    assert isinstance(selector, Selector)
    assert load_selector(selector.name, **options_of(selector) or {}) == selector


@settings(max_examples=40, deadline=None)
@given(state=states(), order=st.randoms(use_true_random=False))
@pytest.mark.parametrize("selector", ORDERLESS, ids=repr)
def test_distributions_do_not_depend_on_the_order(
    selector: Any, state: tuple[Scores, list[Candidate]], order: Any
) -> None:
    scores, cands = state
    permutation = list(range(len(cands)))
    order.shuffle(permutation)
    assert scores.head_q is not None
    moved = Scores(scores.q[permutation], scores.head_q[:, permutation])
    np.testing.assert_allclose(
        selector.probabilities(moved, [cands[i] for i in permutation]),
        selector.probabilities(scores, cands)[permutation],
        atol=1e-9,
    )


@settings(max_examples=60, deadline=None)
@given(state=states(), order=st.randoms(use_true_random=False))
@pytest.mark.parametrize("selector", [s for s in ALL if not s.draws], ids=repr)
def test_certain_choices_follow_the_candidate_where_values_differ(
    selector: Any, state: tuple[Scores, list[Candidate]], order: Any
) -> None:
    scores, cands = state
    assert scores.head_q is not None
    assert scores.support is not None
    if getattr(selector, "baseline", selector.name) == "first":
        return  # the first is the first of an order
    usable = np.flatnonzero(np.isfinite(scores.q))
    logprobs = [c.logprob for c in cands]
    keys = [
        scores.q[usable],
        scores.support[usable],
        [logprobs[i] for i in usable],
        *scores.head_q[:, usable],
    ]
    assume(all(len(set(np.round(key, 6).tolist())) == len(usable) for key in keys))
    permutation = list(range(len(cands)))
    order.shuffle(permutation)
    moved = Scores(scores.q[permutation], scores.head_q[:, permutation], (), scores.support[permutation])
    before = int(np.argmax(selector.probabilities(scores, cands)))
    after = int(np.argmax(selector.probabilities(moved, [cands[i] for i in permutation])))
    assume(_distinct(selector, scores))
    assert permutation[after] == before


def _distinct(selector: Any, scores: Scores) -> bool:
    """Whether no two candidates have the same bound: then there is no first of equals."""
    assert scores.head_q is not None
    usable = np.isfinite(scores.q)
    bounds = [
        aggregated(scores.head_q[:, usable], how, 1.0) for how in ("min", "mean", "mean_std", "soft_low")
    ]
    return all(len(set(np.round(bound, 3).tolist())) == int(usable.sum()) for bound in bounds)


@settings(max_examples=60, deadline=None)
@given(q=st.lists(st.integers(-8, 8), min_size=1, max_size=6), shift=st.integers(-64, 64))
def test_best_and_softmax_ignore_a_constant(q: list[int], shift: int) -> None:
    # Integers: the shift is exact, so that ties stay ties.
    here, there = Scores(np.array(q, dtype=float)), Scores(np.array(q, dtype=float) + shift)
    cands = candidates(len(q))
    assert BestOfN().replay(here, cands, None) == BestOfN().replay(there, cands, None)
    for selector in (Softmax(1.0), Softmax(1.0, scale="std")):
        np.testing.assert_allclose(
            selector.probabilities(here, cands), selector.probabilities(there, cands), atol=1e-12
        )


@settings(max_examples=60, deadline=None)
@given(q=st.lists(st.floats(-5, 5), min_size=1, max_size=6), factor=st.sampled_from([0.25, 2.0, 1024.0]))
@pytest.mark.parametrize("scale", ["max", "std"])
def test_scaled_softmax_ignores_the_unit(scale: Any, q: list[float], factor: float) -> None:
    here = np.array([round(x, 3) for x in q], dtype=np.float64)
    cands = candidates(len(q))
    selector = Softmax(1.0, scale=scale)
    np.testing.assert_allclose(
        selector.probabilities(Scores(here), cands),
        selector.probabilities(Scores(factor * here), cands),
        atol=1e-9,
    )


@pytest.mark.parametrize("selector", ALL, ids=repr)
@pytest.mark.parametrize(
    ("q", "n", "message"),
    [
        ([math.nan, 1.0], 2, "nan"),
        ([1.0, INF], 2, "inf"),
        ([-INF, -INF], 2, "all 2 candidates are invalid"),
        ([], 0, "no candidates"),
        ([1.0], 2, "shape"),
    ],
)
def test_unusable_values_are_refused(selector: Any, q: list[float], n: int, message: str) -> None:
    with pytest.raises(SelectorError, match=message):
        choose(selector, q, candidates(n))


def test_all_invalid_names_the_first_reason() -> None:
    broken = [Candidate("x", None, error="no action tag")] * 2
    with pytest.raises(SelectorError, match="no action tag"):
        choose(BestOfN(), [-INF, -INF], broken)


def test_best_of_n_takes_the_first_of_equals() -> None:
    assert choose(BestOfN(), [0.1, 0.7, 0.7, -INF]).index == 1
    assert choose(BestOfN(), [-INF, -5.0]).index == 1


def test_softmax_by_hand() -> None:
    p = choose(Softmax(temperature=0.5), [1.0, 0.0, -INF]).probabilities
    expected = math.exp(2) / (1 + math.exp(2))
    np.testing.assert_allclose(p, [expected, 1 - expected, 0], atol=1e-12)
    half = choose(Softmax(temperature=1.0, scale="max"), [2.0, 0.0]).probabilities
    np.testing.assert_allclose(half[0], math.e / (1 + math.e), atol=1e-12)
    spread = choose(Softmax(temperature=1.0, scale="std"), [2.0, 0.0]).probabilities  # std 1
    np.testing.assert_allclose(spread[0], math.exp(2) / (1 + math.exp(2)), atol=1e-12)


@pytest.mark.parametrize("scale", ["none", "max", "std"])
def test_softmax_of_equal_values_is_uniform(scale: Any) -> None:
    for value in (0.0, 0.1, -3.0):
        np.testing.assert_allclose(choose(Softmax(0.1, scale=scale), [value] * 3).probabilities, 1 / 3)


def test_softmax_survives_extreme_gaps() -> None:
    np.testing.assert_array_equal(choose(Softmax(1e-300), [1e308, -1e308]).probabilities, [1.0, 0.0])


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, INF])
def test_softmax_refuses_the_temperature(temperature: float) -> None:
    with pytest.raises(SelectorError, match="temperature"):
        Softmax(temperature)


def test_softmax_refuses_the_scale() -> None:
    with pytest.raises(SelectorError, match="scale"):
        Softmax(scale="mean")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("selector", [Softmax(1.0), OneSample()], ids=repr)
def test_draws_follow_the_probabilities(selector: Any) -> None:
    scores, cands = Scores(np.array([0.0, 1.0, -INF, 2.0])), candidates(4, [1, 2, 4, 3])
    rng = np.random.default_rng(1)
    drawn = np.bincount([selector.select(scores, cands, rng).index for _ in range(20_000)], minlength=4)
    np.testing.assert_allclose(drawn / 20_000, selector.probabilities(scores, cands), atol=0.015)


def test_majority_counts_actions_not_texts() -> None:
    cands = [
        Candidate("buy now", "buy", count=3),
        Candidate("search[a]", "search[a]", count=2),
        Candidate("I search. search[a]", "search[a]", count=2),
    ]
    assert choose(MajorityVote(), [0.0, 0.0, 0.0], cands).index == 1
    assert choose(MajorityVote(), [0.0, -INF, 0.0], cands).index == 0


def test_majority_ties() -> None:
    assert choose(MajorityVote(), [0.0] * 3, candidates(3, [2, 2, 1])).index == 0
    assert choose(MajorityVote(), [0.0] * 3, candidates(3, [2, 2, 1], [-3.0, -2.0, -0.1])).index == 1
    unknown = [Candidate("a", "a", count=2), *candidates(1, [2], [-9.0])]
    assert choose(MajorityVote(), [0.0, 0.0], unknown).index == 1


def test_one_sample_is_proportional_to_counts() -> None:
    p = choose(OneSample(), [0.0, 9.0, -INF], candidates(3, [1, 3, 5])).probabilities
    np.testing.assert_allclose(p, [0.25, 0.75, 0.0])


def test_first_skips_invalid() -> None:
    assert choose(First(), [-INF, 0.0, 5.0]).index == 1


def test_likeliest() -> None:
    short = Candidate("a", "a", token_ids=(1,), token_logprobs=(-2.0,))
    long = Candidate("b", "b", token_ids=(1, 2, 3), token_logprobs=(-1.0, -1.0, -1.0))
    assert choose(Likeliest(), [0.0, 0.0], [long, short]).index == 1
    assert choose(Likeliest(per_token=True), [0.0, 0.0], [long, short]).index == 0
    with pytest.raises(SelectorError, match="log-probability"):
        choose(Likeliest(), [0.0], [Candidate("a", "a")])


def test_draw_edges() -> None:
    p = np.array([0.0, 0.25, 0.0, 0.75, 0.0])
    assert [index_of_draw(p, d) for d in (0.0, 0.2499, 0.25, 0.9999999999999999)] == [1, 1, 3, 3]
    thirds = np.array([1 / 3, 1 / 3, 1 / 3, 0.0])
    assert index_of_draw(thirds, np.nextafter(1.0, 0.0)) == 2
    for bad in (-0.1, 1.0, math.nan):
        with pytest.raises(SelectorError, match="draw"):
            index_of_draw(p, bad)


def test_replay_without_the_draw_is_refused() -> None:
    with pytest.raises(SelectorError, match="no draw was logged"):
        Softmax().replay(Scores(np.zeros(2)), candidates(2), None)


def test_selectors_by_name() -> None:
    assert set(selector_names()) == {
        "best_of_n",
        "epsilon_greedy",
        "fallback",
        "first",
        "likeliest",
        "majority",
        "pessimistic",
        "reference",
        "sample",
        "softmax",
        "ucb",
    }
    for name in selector_names():
        assert load_selector(name).name == name
    assert load_selector("softmax", temperature=0.2) == Softmax(0.2)


def test_misspelt_names_and_options() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'softmax'"):
        load_selector("softmx")
    with pytest.raises(ConfigError, match="Did you mean 'temperature'"):
        load_selector("softmax", temprature=1.0)
    for machinery in ("base", "bounds", "drawing", "priors", "registry", "__init__"):
        with pytest.raises(ConfigError, match="unknown"):
            load_selector(machinery)


class _Point:
    """An entry point of another package."""

    name, value = "theirs", "package:Theirs"

    def load(self) -> Any:
        return Softmax


def test_selectors_of_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda group: [_Point()] if group == registry.GROUP else [])
    assert "theirs" in selector_names()
    assert load_selector("theirs", temperature=0.3) == Softmax(0.3)


def test_importing_the_package_is_light() -> None:
    code = "import sys, agentq.selectors; print(any(m in sys.modules for m in ('numpy', 'torch')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
