"""What another selector would have scored, from episodes that were played by the logged one.

The action set of a state is its N logged candidates, so a state is (messages, candidates) and the behaviour
policy b is the logged selector's distribution over them, which is known exactly. The target policy pi is the
new selector's distribution over the same candidates. With rho_t = pi(a_t|s_t) / b(a_t|s_t) and
w_t = rho_0 ... rho_t (w_{-1} = 1; an episode that is over keeps its last weight):

    is     mean of w_T G                                       Precup, Sutton & Singh 2000
    wis    sum of w_T G / sum of w_T                           self-normalised
    pdis   mean of sum_t gamma^t w_t r_t                       per decision
    pdwis  sum_t gamma^t (sum of w_t r_t / sum of w_t)         per decision, self-normalised at each step
    dr     mean of sum_t gamma^t (w_t (r_t - Q_t) + w_{t-1} V_t)
           Jiang & Li 2016, "Doubly Robust Off-policy Value Evaluation for Reinforcement Learning" (arXiv
           1511.03722): their recursion V_DR = V(s) + rho (r + gamma V_DR' - Q(s, a)), written out
    wdr    as dr with w_t / sum of w_t in place of w_t / n
           Thomas & Brunskill 2016, "Data-Efficient Off-Policy Policy Evaluation for Reinforcement Learning"
           (arXiv 1604.00923)

Q_t is the critic's value of the action taken, V_t = sum_i pi(i|s_t) q_i. They only reduce variance: is, pdis
and dr are unbiased whatever the critic says, wis, pdwis and wdr are consistent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from agentq.errors import EvaluationError
from agentq.types import FloatArray
from agentq_eval.statistics import Estimate

Method = Literal["is", "wis", "pdis", "pdwis", "dr", "wdr"]
METHODS: tuple[Method, ...] = get_args(Method)
_CHUNK = 250  # resamples that are drawn together


@dataclass(frozen=True, slots=True)
class WeighedEpisode:
    """What off-policy estimates need of an episode; all arrays are (T,), one entry per step."""

    task: str
    behaviour: FloatArray  # probability of the action taken, by the logged selector; > 0
    target: FloatArray  # ... by the new selector
    rewards: FloatArray
    q: FloatArray  # the critic's value of the action taken
    values: FloatArray  # sum over candidates of the new selector's probability times the critic's value
    uncovered: FloatArray  # the new selector's probability of what the logged one never takes


@dataclass(frozen=True, slots=True)
class Bounds:
    """Beyond these an estimate is refused."""

    min_effective: float = 30.0  # effective episodes (Kish)
    max_share: float = 0.2  # of the total weight that one episode carries
    max_uncovered: float = 1e-6  # share of the new selector's episodes that leave the logged one's support
    max_drift: float = 0.3  # of the mean weight from its expectation

    def __post_init__(self) -> None:
        shares = (self.max_share, self.max_uncovered)
        if not (self.min_effective >= 1 and self.max_drift >= 0 and all(0 <= share <= 1 for share in shares)):
            raise EvaluationError(f"{self}: expected at least 1 effective episode and shares from 0 to 1.")


@dataclass(frozen=True, slots=True)
class OffPolicyReport:
    """Off-policy estimates of a new selector, or why there are none.

    ``estimates`` and ``gains`` (over ``logged``, paired) are empty when ``refused`` is not "".
    """

    episodes: int
    tasks: int
    gamma: float
    logged: Estimate  # mean return of the episodes as they were played
    effective: float  # episodes, Kish's (sum w)^2 / sum w^2 over final weights
    max_share: float  # of the total weight, carried by one episode
    mean_weight: float  # 1 in expectation where there is support
    uncovered: float  # estimated share of the new selector's episodes that leave the support
    refused: str = ""
    estimates: Mapping[Method, Estimate] = field(default_factory=dict[Method, Estimate])
    gains: Mapping[Method, Estimate] = field(default_factory=dict[Method, Estimate])


@dataclass(frozen=True, slots=True)
class Ratios:
    """An estimator as sum_k of (sum over episodes of numerator) / (sum over episodes of denominator)."""

    numerators: FloatArray  # (E, K)
    denominators: FloatArray  # (E, K)

    def value(self) -> float:
        """The point estimate; NaN when no episode has weight at some step."""
        return float(_sum_of_ratios(self.numerators.sum(0)[None], self.denominators.sum(0)[None])[0])


@dataclass(frozen=True, slots=True)
class Padded:
    """E episodes as (E, H) arrays. After its end an episode has reward, q and value 0 and ratio 1."""

    ratios: FloatArray
    rewards: FloatArray
    q: FloatArray
    values: FloatArray
    uncovered: FloatArray
    discounts: FloatArray  # (H,) gamma^t

    @property
    def weights(self) -> FloatArray:
        """w_t, (E, H)."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.cumprod(self.ratios, axis=1, dtype=np.float64)

    @property
    def earlier(self) -> FloatArray:
        """w_{t-1}, (E, H)."""
        weights = self.weights
        return np.concatenate([np.ones((len(weights), 1)), weights[:, :-1]], axis=1)

    @property
    def returns(self) -> FloatArray:
        """G, (E,)."""
        return np.asarray(self.rewards @ self.discounts, dtype=np.float64)


def pad(episodes: Sequence[WeighedEpisode], gamma: float) -> Padded:
    """Line the episodes up. Raises ``EvaluationError`` for impossible probabilities or a bad gamma."""
    if not 0.0 <= gamma <= 1.0:
        raise EvaluationError(f"gamma={gamma} is no discount: expected a number from 0 to 1.")
    for episode in episodes:
        _check(episode)
    horizon = max([1, *(len(episode.rewards) for episode in episodes)])

    def table(rows: Sequence[FloatArray], empty: float) -> FloatArray:
        filled = np.full((len(episodes), horizon), empty)
        for row, values in zip(filled, rows, strict=True):
            row[: len(values)] = values
        return filled

    return Padded(
        ratios=table([episode.target / episode.behaviour for episode in episodes], 1.0),
        rewards=table([episode.rewards for episode in episodes], 0.0),
        q=table([episode.q for episode in episodes], 0.0),
        values=table([episode.values for episode in episodes], 0.0),
        uncovered=table([episode.uncovered for episode in episodes], 0.0),
        discounts=np.power(gamma, np.arange(horizon), dtype=np.float64),
    )


def ratios_of(method: Method, data: Padded) -> Ratios:
    """The estimator of the module's table as ratios of sums over episodes."""
    w, before, gammas = data.weights, data.earlier, data.discounts
    last = w[:, -1:]
    ones = np.ones_like(last)
    if method in ("is", "wis"):
        return Ratios(last * data.returns[:, None], ones if method == "is" else last)
    if method == "pdis":
        return Ratios((gammas * w * data.rewards).sum(1, keepdims=True), ones)
    if method == "pdwis":
        return Ratios(gammas * w * data.rewards, w)
    corrections, baselines = gammas * w * (data.rewards - data.q), gammas * before * data.values
    if method == "dr":
        return Ratios((corrections + baselines).sum(1, keepdims=True), ones)
    if method == "wdr":
        return Ratios(np.concatenate([corrections, baselines], 1), np.concatenate([w, before], 1))
    raise EvaluationError(f"method {method!r} is unknown: expected one of {', '.join(METHODS)}.")


def effective_episodes(weights: FloatArray) -> float:
    """Kish's effective number, (sum w)^2 / sum w^2, of (E,) weights; 0 when all are 0.

    Kish 1965, "Survey Sampling".
    """
    top = float(weights.max(initial=0.0))
    if top == 0:
        return 0.0
    scaled = weights / top  # squares of huge weights would overflow
    return float(scaled.sum() ** 2 / (scaled**2).sum())


def off_policy(
    episodes: Sequence[WeighedEpisode],
    gamma: float = 1.0,
    bounds: Bounds | None = None,
    *,
    repetitions: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> OffPolicyReport:
    """All estimates with bootstrap intervals over tasks, or a refusal that says why.

    Returns are discounted by ``gamma`` per step; 1 gives the score of the reports. Raises ``EvaluationError``
    for no episodes and for probabilities that cannot be.
    """
    if not episodes:
        raise EvaluationError("no episodes to estimate from: expected at least one that has ended.")
    bounds = bounds or Bounds()
    data = pad(episodes, gamma)
    final = data.weights[:, -1]
    finite = bool(np.isfinite(final).all())
    total = float(final.sum())
    effective = effective_episodes(final) if finite else 0.0
    share = float(final.max() / total) if finite and total > 0 else 1.0
    with np.errstate(invalid="ignore"):
        uncovered = float((data.earlier * data.uncovered).sum(1).mean()) if finite else 0.0
    mean_weight = total / len(episodes)
    refused = _refusal(len(episodes), effective, share, uncovered, mean_weight, bounds)
    played = Ratios(data.returns[:, None], np.ones((len(episodes), 1)))
    used = () if refused else METHODS
    wanted: dict[Method, Ratios] = {method: ratios_of(method, data) for method in used}
    tasks, index = np.unique([episode.task for episode in episodes], return_inverse=True)
    spread = _Bootstrap(index, len(tasks), repetitions, seed, confidence)
    (base, *found), gains = spread.spreads(played, list(wanted.values()))
    return OffPolicyReport(
        episodes=len(episodes),
        tasks=len(tasks),
        gamma=gamma,
        logged=spread.estimate(base),
        effective=effective,
        max_share=share,
        mean_weight=mean_weight,
        uncovered=uncovered,
        refused=refused,
        estimates={method: spread.estimate(one) for method, one in zip(wanted, found, strict=True)},
        gains={method: spread.estimate(one) for method, one in zip(wanted, gains, strict=True)},
    )


def _refusal(
    episodes: int, effective: float, share: float, uncovered: float, mean_weight: float, bounds: Bounds
) -> str:
    if uncovered > bounds.max_uncovered:
        return (
            f"no support: the new selector leaves what the logged one could have chosen in an estimated "
            f"{uncovered:.2%} of its episodes (bound {bounds.max_uncovered:g}), and nothing in the log says "
            "what happens then. A deterministic selector such as best_of_n never takes another candidate; log "
            "with softmax or sample, or play the new selector"
        )
    if effective < bounds.min_effective:
        return (
            f"too few effective episodes: {effective:.1f} of {episodes} (bound {bounds.min_effective:g}). Log "
            "more episodes, or choose a selector closer to the logged one"
        )
    if share > bounds.max_share:
        return (
            f"one episode carries {share:.1%} of the weight (bound {bounds.max_share:.1%}). Log more episodes, "
            "or choose a selector closer to the logged one"
        )
    # Rare episodes of huge weight that the log happens to lack leave even weights behind: the effective number
    # looks fine then, and only the mean tells.
    if abs(mean_weight - (1 - uncovered)) > bounds.max_drift:
        return (
            f"the weights have mean {mean_weight:.3f} where {1 - uncovered:.3g} is expected (bound "
            f"{bounds.max_drift:g} apart): the log hardly contains what the new selector would do. Log with a "
            "selector that tries more, or choose one closer to the logged one"
        )
    return ""


def _check(episode: WeighedEpisode) -> None:
    lengths = {len(getattr(episode, name)) for name in WeighedEpisode.__slots__ if name != "task"}
    numbers = np.concatenate([episode.rewards, episode.q, episode.values])
    shares = np.concatenate([episode.behaviour, episode.target, episode.uncovered])
    problem = None
    if len(lengths) != 1:
        problem = f"arrays of lengths {sorted(lengths)}, expected one entry per step each"
    elif not np.isfinite(numbers).all():
        problem = "a reward or value is not finite"
    elif not ((shares >= 0) & (shares <= 1 + 1e-9)).all():
        problem = "a probability is outside [0, 1]"
    elif not (episode.behaviour > 0).all():
        problem = (
            f"step {int(np.argmin(episode.behaviour))} took an action that its own selector gives probability 0; "
            "the log was not made by that selector, check it with `agentq eval --replay`"
        )
    if problem:
        raise EvaluationError(f"episode of task {episode.task!r}: {problem}.")


def _sum_of_ratios(above: FloatArray, below: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return (above / below).sum(axis=1)  # a step without any weight makes it undefined


@dataclass(frozen=True, slots=True)
class _Spread:
    """An estimator on the log (entry 0) and on R resamples of its tasks."""

    values: FloatArray  # (1 + R,)
    errors: FloatArray  # (1 + R,) standard errors by linearisation, without the factor T/(T - 1)


class _Bootstrap:
    """Bootstrap-t over tasks: all episodes of a drawn task count together.

    Importance-weighted means are skewed, and percentile limits then fall short on the long side; limits from
    the resampled t statistic do not (Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapter 12).
    """

    def __init__(
        self, task_of: NDArray[np.intp], tasks: int, repetitions: int, seed: int, confidence: float
    ) -> None:
        self._task_of, self._tasks = task_of, tasks
        self._repetitions, self._seed, self._confidence = repetitions, seed, confidence

    def spreads(self, played: Ratios, wanted: Sequence[Ratios]) -> tuple[list[_Spread], list[_Spread]]:
        """``[played, *wanted]``, and each of ``wanted`` less ``played``, on the same resamples."""
        tables = [
            (self._by_task(ratios.numerators), self._by_task(ratios.denominators))
            for ratios in (played, *wanted)
        ]
        passes = [_linearised(counts, tables) for counts in self._draws()]
        values, errors, gain_errors = (np.concatenate(parts, axis=1) for parts in zip(*passes, strict=True))
        return (
            [_Spread(value, error) for value, error in zip(values, errors, strict=True)],
            [_Spread(value - values[0], error) for value, error in zip(values[1:], gain_errors, strict=True)],
        )

    def estimate(self, found: _Spread) -> Estimate:
        """The value with its interval; undefined for fewer than two tasks or a step without weight."""
        episodes, value, error = len(self._task_of), float(found.values[0]), float(found.errors[0])
        if not np.isfinite(value):
            return Estimate(None, None, None, episodes)
        if self._tasks < 2:
            return Estimate(value, None, None, episodes)
        if error <= 1e-12 * max(1.0, abs(value)):  # rounding: every task says the same
            return Estimate(value, value, value, episodes)
        with np.errstate(invalid="ignore", divide="ignore"):
            t = (found.values[1:] - value) / found.errors[1:]
        tail = (1 - self._confidence) / 2
        # An undefined resample may lie anywhere: it counts as the worst for either limit.
        smallest, largest = (
            float(np.quantile(np.where(np.isnan(t), end, t), share, method="inverted_cdf"))
            for end, share in ((-np.inf, tail), (np.inf, 1 - tail))
        )
        low, high = value - largest * error, value - smallest * error
        return Estimate(
            value, low if np.isfinite(low) else None, high if np.isfinite(high) else None, episodes
        )

    def _draws(self) -> Iterator[FloatArray]:
        """How often each task was drawn, (R', T) at a time; the log itself first."""
        yield np.ones((1, self._tasks))
        rng = np.random.default_rng(self._seed)
        even = np.full(self._tasks, 1 / self._tasks)
        for start in range(0, self._repetitions, _CHUNK):
            size = min(_CHUNK, self._repetitions - start)
            yield rng.multinomial(self._tasks, even, size=size).astype(np.float64)

    def _by_task(self, values: FloatArray) -> FloatArray:
        sums = np.zeros((self._tasks, values.shape[1]))
        np.add.at(sums, self._task_of, values)
        return sums


def _linearised(
    counts: FloatArray, tables: Sequence[tuple[FloatArray, FloatArray]]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Values (M, R') of M sums of ratios, their standard errors, and those of their gains over the first.

    Delta method: task i moves sum_k A_k / B_k by sum_k (a_ik - (A_k / B_k) b_ik) / B_k.
    """
    values: list[FloatArray] = []
    influences: list[FloatArray] = []  # (R', T) each
    for above, below in tables:
        sums, weights = counts @ above, counts @ below  # (R', K)
        with np.errstate(invalid="ignore", divide="ignore"):
            influences.append((1 / weights) @ above.T - (sums / weights**2) @ below.T)
        values.append(_sum_of_ratios(sums, weights))

    def error(influence: FloatArray) -> FloatArray:
        return np.sqrt((counts * influence**2).sum(axis=1))

    return (
        np.stack(values),
        np.stack([error(influence) for influence in influences]),
        np.array([error(influence - influences[0]) for influence in influences[1:]]).reshape(-1, len(counts)),
    )
