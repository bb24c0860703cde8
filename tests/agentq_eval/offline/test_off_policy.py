"""The estimators on a decision process that is small enough to enumerate every episode."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from agentq.errors import EvaluationError
from agentq.types import FloatArray
from agentq_eval.offline.off_policy import (
    METHODS,
    Bounds,
    Method,
    WeighedEpisode,
    effective_episodes,
    off_policy,
    pad,
    ratios_of,
)

STATES, CANDIDATES, HORIZON, GAMMA = 3, 3, 3, 0.9
_RNG = np.random.default_rng(7)
MOVES = _RNG.dirichlet(np.ones(STATES), size=(STATES, CANDIDATES))  # (S, N, S) transition probabilities
REWARDS = _RNG.normal(size=(STATES, CANDIDATES))
ENDS = _RNG.uniform(0, 0.3, size=(STATES, CANDIDATES))  # chance that the episode is over after the step
BEHAVIOUR = _RNG.dirichlet(np.ones(CANDIDATES) * 3, size=STATES)
TARGET = 0.4 * BEHAVIOUR + 0.6 * _RNG.dirichlet(np.ones(CANDIDATES), size=STATES)


def exact_q(policy: FloatArray, gamma: float = GAMMA) -> FloatArray:
    """(H, S, N) by backward induction."""
    q = np.zeros((HORIZON, STATES, CANDIDATES))
    ahead = np.zeros(STATES)
    for t in reversed(range(HORIZON)):
        q[t] = REWARDS + gamma * (1 - ENDS) * (MOVES @ ahead)
        ahead = (policy * q[t]).sum(axis=1)
    return q


def value(policy: FloatArray, gamma: float = GAMMA) -> float:
    """Of the first state, 0."""
    return float(policy[0] @ exact_q(policy, gamma)[0, 0])


@dataclass(frozen=True)
class Walk:
    states: tuple[int, ...]
    chosen: tuple[int, ...]


def walks(policy: FloatArray) -> Iterator[tuple[float, Walk]]:
    """Every episode from state 0 with its probability."""
    stack: list[tuple[float, Walk]] = [(1.0, Walk((0,), ()))]
    while stack:
        p, walk = stack.pop()
        state = walk.states[-1]
        for action in range(CANDIDATES):
            now = p * policy[state, action]
            taken = Walk(walk.states, (*walk.chosen, action))
            if len(taken.chosen) == HORIZON:
                yield now, taken
                continue
            yield now * ENDS[state, action], taken
            going = now * (1 - ENDS[state, action])
            stack += [
                (going * MOVES[state, action, after], Walk((*walk.states, after), taken.chosen))
                for after in range(STATES)
            ]


EVERY = tuple(walks(BEHAVIOUR))


def weighed(walk: Walk, q: FloatArray, task: str = "0", target: FloatArray = TARGET) -> WeighedEpisode:
    s, a = np.array(walk.states), np.array(walk.chosen)
    t = np.arange(len(a))
    return WeighedEpisode(
        task=task,
        behaviour=BEHAVIOUR[s, a],
        target=target[s, a],
        rewards=REWARDS[s, a],
        q=q[t, s, a],
        values=(target[s] * q[t, s]).sum(axis=1),
        uncovered=np.zeros(len(a)),
    )


def sample(count: int, q: FloatArray, seed: int, target: FloatArray = TARGET) -> list[WeighedEpisode]:
    """Episodes of the behaviour policy, each of a task of its own."""
    shares = np.array([p for p, _ in EVERY])
    drawn = np.random.default_rng(seed).choice(len(EVERY), size=count, p=shares / shares.sum())
    return [weighed(EVERY[i][1], q, str(number), target) for number, i in enumerate(drawn)]


def noise(seed: int = 3) -> FloatArray:
    return np.random.default_rng(seed).normal(scale=2, size=(HORIZON, STATES, CANDIDATES))


ZERO = np.zeros((HORIZON, STATES, CANDIDATES))


def test_the_episodes_are_all_there() -> None:
    assert sum(p for p, _ in walks(BEHAVIOUR)) == pytest.approx(1, abs=1e-12)
    played = sum(p * float(pad([weighed(w, ZERO)], GAMMA).returns[0]) for p, w in walks(TARGET))
    assert played == pytest.approx(value(TARGET), abs=1e-12)
    assert abs(value(TARGET) - value(BEHAVIOUR)) > 0.04


@pytest.mark.parametrize("method", ["is", "pdis", "dr"])
@pytest.mark.parametrize("q", [exact_q(TARGET), ZERO, noise()], ids=["exact", "zero", "wrong"])
def test_unweighted_estimates_are_unbiased_whatever_the_critic_says(method: Method, q: FloatArray) -> None:
    expected = sum(p * ratios_of(method, pad([weighed(w, q)], GAMMA)).value() for p, w in walks(BEHAVIOUR))
    assert expected == pytest.approx(value(TARGET), abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("q", [exact_q(TARGET), noise()], ids=["exact", "wrong"])
def test_with_all_episodes_in_their_proportions_every_estimate_is_exact(
    method: Method, q: FloatArray
) -> None:
    """Consistency: the limit of an endless log, episodes counted by their probability."""
    every = list(walks(BEHAVIOUR))
    shares = np.array([p for p, _ in every])[:, None]
    ratios = ratios_of(method, pad([weighed(w, q) for _, w in every], GAMMA))
    limit = ((shares * ratios.numerators).sum(0) / (shares * ratios.denominators).sum(0)).sum()
    assert limit == pytest.approx(value(TARGET), abs=1e-12)


@pytest.mark.parametrize("method", ["wis", "pdwis", "wdr"])
def test_the_bias_of_self_normalised_estimates_vanishes(method: Method) -> None:
    def error(count: int) -> float:
        found = [ratios_of(method, pad(sample(count, noise(), seed), GAMMA)).value() for seed in range(25)]
        return float(np.sqrt(np.mean((np.array(found) - value(TARGET)) ** 2)))

    few, many = error(20), error(1000)
    assert many < few / 4  # a seventh in the limit
    assert many < 0.2


def deviation(method: Method, q: FloatArray) -> float:
    """Standard deviation of the estimate from one episode, exactly."""
    found = [(p, ratios_of(method, pad([weighed(w, q)], GAMMA)).value()) for p, w in walks(BEHAVIOUR)]
    mean = sum(p * x for p, x in found)
    return float(np.sqrt(sum(p * (x - mean) ** 2 for p, x in found)))


def test_an_exact_critic_leaves_only_the_spread_of_the_environment() -> None:
    assert deviation("dr", exact_q(TARGET)) < 0.6 * deviation("pdis", ZERO) < deviation("is", ZERO)
    assert deviation("dr", noise()) > deviation("dr", exact_q(TARGET))
    assert deviation("dr", ZERO) == pytest.approx(deviation("pdis", ZERO), abs=1e-12)


def test_an_exact_critic_of_a_certain_environment_leaves_no_variance(monkeypatch: pytest.MonkeyPatch) -> None:
    certain = np.zeros_like(MOVES)
    certain[:, np.arange(CANDIDATES), [1, 2, 0]] = 1
    monkeypatch.setitem(globals(), "MOVES", certain)
    monkeypatch.setitem(globals(), "ENDS", np.zeros_like(ENDS))
    every = [(p, w) for p, w in walks(BEHAVIOUR) if p > 0]
    q = exact_q(TARGET)
    found = [ratios_of("dr", pad([weighed(w, q)], GAMMA)).value() for _, w in every]
    assert len(found) == CANDIDATES**HORIZON
    assert found == pytest.approx([value(TARGET)] * len(found), abs=1e-12)
    together = ratios_of("wdr", pad([weighed(w, q) for _, w in every[:5]], GAMMA)).value()
    assert together == pytest.approx(value(TARGET), abs=1e-12)


def recursive(episode: WeighedEpisode, gamma: float) -> float:
    """Jiang & Li's recursion, step by step."""
    estimate = 0.0
    for t in reversed(range(len(episode.rewards))):
        rho = episode.target[t] / episode.behaviour[t]
        estimate = episode.values[t] + rho * (episode.rewards[t] + gamma * estimate - episode.q[t])
    return float(estimate)


def test_the_doubly_robust_sum_is_the_recursion() -> None:
    for episode in sample(50, noise(), 1):
        assert ratios_of("dr", pad([episode], GAMMA)).value() == pytest.approx(recursive(episode, GAMMA))


def test_self_normalised_estimates_by_hand() -> None:
    def episode(behaviour: list[float], target: list[float], rewards: list[float]) -> WeighedEpisode:
        zero = np.zeros(len(rewards))
        return WeighedEpisode("0", np.array(behaviour), np.array(target), np.array(rewards), zero, zero, zero)

    both = [episode([0.5, 0.5], [1.0, 0.25], [1.0, 2.0]), episode([0.5], [0.25], [4.0])]
    data = pad(both, 0.5)
    assert data.weights.tolist() == [[2.0, 1.0], [0.5, 0.5]]  # the second keeps its weight after its end
    assert data.returns.tolist() == [2.0, 4.0]
    values = {method: ratios_of(method, data).value() for method in METHODS}
    assert values["is"] == pytest.approx((1.0 * 2 + 0.5 * 4) / 2)
    assert values["wis"] == pytest.approx((1.0 * 2 + 0.5 * 4) / 1.5)
    assert values["pdis"] == pytest.approx((2 * 1 + 0.5 * 1 * 2 + 0.5 * 4) / 2)
    assert values["pdwis"] == pytest.approx((2 * 1 + 0.5 * 4) / 2.5 + 0.5 * (1 * 2) / 1.5)
    assert values["dr"] == values["pdis"]  # a critic of zeros changes nothing
    assert values["wdr"] == values["pdwis"]


def test_the_same_selector_gives_the_logged_mean() -> None:
    report = off_policy(sample(60, exact_q(BEHAVIOUR), 0, target=BEHAVIOUR), GAMMA)
    assert report.refused == ""
    assert report.effective == pytest.approx(60)
    assert report.mean_weight == pytest.approx(1)
    for method in ("is", "wis", "pdis", "pdwis"):
        assert report.estimates[method].value == pytest.approx(report.logged.value)
        assert report.estimates[method].low == pytest.approx(report.logged.low)
        assert report.gains[method].value == pytest.approx(0)
    assert report.gains["wis"].low == report.gains["wis"].high == pytest.approx(0)


@pytest.mark.slow
def test_the_interval_covers_the_truth() -> None:
    """100 episodes and a critic that knows nothing: estimates and gains, 2,000 simulations."""
    runs, truth = 2000, value(TARGET)
    gain = truth - value(BEHAVIOUR)
    covered: Counter[tuple[str, Method]] = Counter()
    for seed in range(runs):
        report = off_policy(sample(100, noise(), seed), GAMMA, repetitions=300, seed=seed)
        for name, true, rows in (("estimate", truth, report.estimates), ("gain", gain, report.gains)):
            for method, found in rows.items():
                assert found.low is not None
                assert found.high is not None
                covered[name, method] += found.low <= true <= found.high
    shares = {key: count / runs for key, count in covered.items()}
    assert len(shares) == 2 * len(METHODS)
    assert min(shares.values()) >= 0.93, shares
    assert max(shares.values()) <= 0.97, shares


def test_intervals_resample_tasks_not_episodes() -> None:
    episodes = sample(80, ZERO, 5)
    copies = [e for e in episodes for _ in range(10)]  # ten equal episodes per task tell no more than one
    one, ten = off_policy(episodes, GAMMA), off_policy(copies, GAMMA)
    assert (ten.episodes, ten.tasks) == (800, 80)
    for method in METHODS:
        assert ten.estimates[method].value == pytest.approx(one.estimates[method].value)
        assert ten.estimates[method].low == pytest.approx(one.estimates[method].low)


def test_equal_arguments_give_equal_reports() -> None:
    episodes = sample(90, noise(), 2)
    assert off_policy(episodes, GAMMA) == off_policy(episodes, GAMMA)
    other = off_policy(episodes, GAMMA, seed=1)
    assert other.estimates["dr"].value == off_policy(episodes, GAMMA).estimates["dr"].value
    assert other.estimates["dr"].low != off_policy(episodes, GAMMA).estimates["dr"].low


def with_weights(weights: list[float]) -> list[WeighedEpisode]:
    zero = np.zeros(1)
    return [
        WeighedEpisode(str(i), np.array([0.01]), np.array([w / 100]), np.ones(1), zero, zero, zero)
        for i, w in enumerate(weights)
    ]


def test_too_few_effective_episodes_are_refused() -> None:
    report = off_policy(with_weights([1.0] * 29))
    assert "too few effective episodes: 29.0 of 29 (bound 30)" in report.refused
    assert report.estimates == {}
    assert report.gains == {}
    assert report.logged.value == 1.0
    assert off_policy(with_weights([1.0] * 30)).refused == ""
    assert off_policy(with_weights([1.0] * 5), bounds=Bounds(min_effective=5)).refused == ""


def test_one_episode_that_outweighs_the_others_is_refused() -> None:
    uneven = with_weights([60.0] + [1.0] * 200)
    assert off_policy(uneven).effective == pytest.approx(260**2 / (3600 + 200))
    loose = Bounds(min_effective=2)
    assert "one episode carries 23.1% of the weight" in off_policy(uneven, bounds=loose).refused
    assert off_policy(uneven, bounds=Bounds(2, max_share=0.25)).refused == ""


def test_even_weights_of_a_log_that_lacks_what_matters_are_refused() -> None:
    """The new selector mostly does what the logged one hardly ever tries: by chance the log has none of it."""
    thin = with_weights([0.5] * 100)
    report = off_policy(thin)
    assert report.effective == pytest.approx(100)
    assert "the weights have mean 0.500 where 1 is expected" in report.refused
    assert off_policy(thin, bounds=Bounds(max_drift=0.5)).refused == ""


def test_no_weight_at_all_is_refused() -> None:
    report = off_policy(with_weights([0.0] * 50))
    assert report.effective == 0
    assert report.refused


def test_a_selector_that_leaves_the_support_is_refused() -> None:
    certain = [
        WeighedEpisode(
            str(i),
            behaviour=np.ones(2),
            target=np.array([1.0, 0.25]),
            rewards=np.ones(2),
            q=np.zeros(2),
            values=np.zeros(2),
            uncovered=np.array([0.0, 0.75]),
        )
        for i in range(400)
    ]
    report = off_policy(certain)
    assert report.uncovered == pytest.approx(0.75)
    assert report.refused.startswith("no support: the new selector leaves")
    assert "best_of_n" in report.refused
    assert off_policy(certain, bounds=Bounds(max_uncovered=0.8)).refused == ""


def test_a_selector_that_never_gets_where_support_ends_is_not_refused() -> None:
    one = WeighedEpisode(
        "0",
        np.array([0.5, 1.0]),
        np.array([0.0, 0.0]),
        np.ones(2),
        np.zeros(2),
        np.zeros(2),
        np.array([0, 1]),
    )
    other = WeighedEpisode(
        "1", np.array([0.5]), np.array([1.0]), np.ones(1), np.zeros(1), np.zeros(1), np.zeros(1)
    )
    report = off_policy([one, other] * 40)
    assert report.uncovered == 0
    assert report.refused == ""
    assert report.estimates["wis"].value == 1


def test_weights_that_overflow_are_refused_rather_than_reported() -> None:
    long = 400
    huge = [
        WeighedEpisode(
            str(i), np.full(long, 0.01), np.ones(long), np.zeros(long), *(np.zeros(long) for _ in range(3))
        )
        for i in range(50)
    ]
    assert "too few effective episodes: 0.0 of 50" in off_policy(huge).refused


def test_episodes_without_a_step_count_as_nothing_gained() -> None:
    empty = WeighedEpisode("9", *(np.zeros(0) for _ in range(6)))
    report = off_policy([*with_weights([1.0] * 39), empty])
    assert report.estimates["wis"].value == pytest.approx(39 / 40)


def test_one_task_has_no_interval() -> None:
    same = [e for e in with_weights([1.0]) for _ in range(50)]
    found = off_policy(same).estimates["wis"]
    assert (found.value, found.low, found.high) == (1.0, None, None)


def broken(name: str) -> Callable[[FloatArray], WeighedEpisode]:
    def make(values: FloatArray) -> WeighedEpisode:
        fields = {key: np.full(2, 0.5) for key in ("behaviour", "target", "rewards", "q", "values")}
        fields |= {"uncovered": np.zeros(2), name: values}
        return WeighedEpisode("17", **fields)

    return make


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("behaviour", [0.5, 0.0], "step 1 took an action that its own selector gives probability 0"),
        ("behaviour", [0.5, 1.5], "outside"),
        ("target", [0.5, -0.1], "outside"),
        ("target", [0.5, np.nan], "outside"),
        ("rewards", [0.5, np.nan], "not finite"),
        ("q", [0.5, -np.inf], "not finite"),
        ("values", [0.5], "arrays of lengths"),
    ],
)
def test_impossible_numbers_are_errors(name: str, values: list[float], message: str) -> None:
    with pytest.raises(EvaluationError, match=f"task '17'.*{message}"):
        off_policy([broken(name)(np.array(values))])


def test_impossible_arguments_are_errors() -> None:
    with pytest.raises(EvaluationError, match="no episodes"):
        off_policy([])
    with pytest.raises(EvaluationError, match=r"gamma=1\.5"):
        off_policy(with_weights([1.0]), gamma=1.5)
    with pytest.raises(EvaluationError, match="at least 1 effective"):
        Bounds(min_effective=0)
    with pytest.raises(EvaluationError, match="method 'magic' is unknown"):
        ratios_of("magic", pad(with_weights([1.0]), 1.0))  # pyright: ignore[reportArgumentType]


def test_the_effective_number_is_kishs() -> None:
    assert effective_episodes(np.array([1.0, 1.0, 1.0, 1.0])) == 4
    assert effective_episodes(np.array([3.0, 1.0, 0.0])) == pytest.approx(16 / 10)
    assert effective_episodes(np.array([1e300, 1e300])) == 2
    assert effective_episodes(np.zeros(3)) == 0
