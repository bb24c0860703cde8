"""Task-clustered paired bootstrap: means, differences, relative gains, shares of a gap.

Episodes of one task share its difficulty, so tasks are what is resampled, never single episodes, and all
arms are resampled together: a task that is in a resample is in it for every arm. Fewer than two tasks give
no interval (None), never a width of zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agentq.errors import EvaluationError
from agentq_eval.statistics.estimate import Estimate, Floats
from agentq_eval.statistics.proportions import wilson


class TaskBootstrap:
    """Percentile bootstrap over tasks for values aligned with ``tasks`` (one entry per episode).

    ``strata`` (one per episode, constant within a task) keeps the number of tasks per stratum fixed. Equal
    arguments give equal intervals. Every method takes (E,) values in the order of ``tasks`` and raises
    ``EvaluationError`` for another length or a value that is not finite.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        strata: Sequence[str] | None = None,
        repetitions: int = 10_000,
        seed: int = 0,
        confidence: float = 0.95,
    ) -> None:
        if repetitions < 1 or not 0 < confidence < 1:
            raise EvaluationError(
                f"repetitions={repetitions}, confidence={confidence}: "
                "expected at least 1 and a share in (0, 1)."
            )
        names, self._task_of, self._sizes = np.unique(
            np.asarray(tasks, dtype=np.str_), return_inverse=True, return_counts=True
        )
        self.episodes = len(tasks)
        self.tasks = len(names)
        self.confidence = confidence
        self._weights = self._draw(self._strata_of_tasks(tasks, strata), repetitions, seed)  # (R, T)

    def mean(self, values: ArrayLike) -> Estimate:
        """Mean over episodes."""
        sums = self._sums(values)
        return self._estimate(float(sums.sum()) / max(self.episodes, 1), self._resampled(sums))

    def difference(self, values: ArrayLike, base: ArrayLike) -> Estimate:
        """Mean of the paired differences ``values - base``."""
        return self.mean(self._checked(values) - self._checked(base))

    def relative_gain(self, values: ArrayLike, *bases: ArrayLike) -> Estimate:
        """``mean(values) / max(mean(base), ...) - 1``; the best base is chosen anew in each resample.

        Undefined when the best base has a mean of 0 or less.
        """
        point, resampled = self._means(values)
        base, resampled_base = self._best(bases)
        return self._ratio(point - base, base, resampled - resampled_base, resampled_base)

    def gap_closed(self, values: ArrayLike, oracle: ArrayLike, *bases: ArrayLike) -> Estimate:
        """``(mean(values) - base) / (mean(oracle) - base)`` with the best base, chosen anew in each resample.

        Undefined when the oracle is not above the base.
        """
        point, resampled = self._means(values)
        top, resampled_top = self._means(oracle)
        base, resampled_base = self._best(bases)
        return self._ratio(
            point - base, top - base, resampled - resampled_base, resampled_top - resampled_base
        )

    def effective_episodes(self, values: ArrayLike) -> float:
        """The number of independent episodes with the same standard error, between tasks and episodes.

        n / deff, deff being the task-clustered variance of the mean over that of independent episodes.
        """
        checked = self._checked(values)
        if self.tasks < 2 or self.tasks == self.episodes:
            return float(self.episodes)
        centred = checked - checked.mean()
        within = float((centred**2).sum()) / self.episodes**2
        clustered = float((self._sums(centred) ** 2).sum()) / self.episodes**2
        if within == 0:  # all equal: nothing says how alike the episodes of a task are
            return float(self.tasks)
        if clustered == 0:  # the episodes of every task balance each other out
            return float(self.episodes)
        return float(np.clip(self.episodes * within / clustered, self.tasks, self.episodes))

    def rate(self, successes: ArrayLike) -> Estimate:
        """Share of successes with a Wilson interval on the effective number of episodes."""
        checked = self._checked(successes)
        if not np.isin(checked, (0.0, 1.0)).all():
            raise EvaluationError("a success is neither 0 nor 1. Use `mean` for scores between them.")
        return self._wilson_of(checked)

    def score(self, values: ArrayLike) -> Estimate:
        """Mean of scores in [0, 1]: bootstrap, but Wilson when all are 0 or all are 1.

        There the bootstrap has no width; the Wilson bounds hold because no score in [0, 1] varies more than
        a success of the same mean.
        """
        checked = self._checked(values)
        if ((checked < 0) | (checked > 1)).any():
            raise EvaluationError("a score is outside [0, 1]. Scale scores to 0-1 before they are reported.")
        if (checked == 0).all() or (checked == 1).all():
            return self._wilson_of(checked)
        return self.mean(checked)

    def _wilson_of(self, values: Floats) -> Estimate:
        if self.episodes == 0:
            return Estimate(None, None, None, 0)
        effective = self.effective_episodes(values)
        interval = wilson(float(values.mean()) * effective, effective, self.confidence)
        if self.tasks < 2:
            return Estimate(interval.value, None, None, self.episodes)
        return Estimate(float(values.mean()), interval.low, interval.high, self.episodes)

    def _draw(self, strata: NDArray[np.int64], repetitions: int, seed: int) -> NDArray[np.uint16]:
        rng = np.random.default_rng(seed)
        weights = np.zeros((repetitions, self.tasks), dtype=np.uint16)
        for stratum in np.unique(strata):
            members = np.flatnonzero(strata == stratum)
            shares = np.full(len(members), 1 / len(members))
            weights[:, members] = rng.multinomial(len(members), shares, size=repetitions)
        return weights

    def _strata_of_tasks(self, tasks: Sequence[str], strata: Sequence[str] | None) -> NDArray[np.int64]:
        if strata is None:
            return np.zeros(self.tasks, dtype=np.int64)
        if len(strata) != len(tasks):
            raise EvaluationError(
                f"{len(strata)} strata for {len(tasks)} episodes: expected one per episode."
            )
        names, index = np.unique(np.asarray(strata, dtype=np.str_), return_inverse=True)
        of_task = np.full(self.tasks, -1, dtype=np.int64)
        of_task[self._task_of] = index
        changed = np.flatnonzero(of_task[self._task_of] != index)
        if changed.size:
            raise EvaluationError(
                f"task {tasks[int(changed[0])]!r} is in two of the strata {list(names)}: expected one each."
            )
        return of_task

    def _checked(self, values: ArrayLike) -> Floats:
        array = np.asarray(values, dtype=np.float64)
        if array.shape != (self.episodes,):
            raise EvaluationError(
                f"values of shape {array.shape} for {self.episodes} episodes: expected one each."
            )
        if not np.isfinite(array).all():
            raise EvaluationError(f"value {int(np.flatnonzero(~np.isfinite(array))[0])} is not finite.")
        return array

    def _sums(self, values: ArrayLike) -> Floats:
        sums = np.bincount(self._task_of, weights=self._checked(values), minlength=self.tasks)
        return sums.astype(np.float64)  # (T,)

    def _resampled(self, sums: Floats) -> Floats:
        if self.episodes == 0:
            return np.zeros(len(self._weights))
        return (self._weights @ sums) / (self._weights @ self._sizes.astype(np.float64))  # (R,)

    def _means(self, values: ArrayLike) -> tuple[float, Floats]:
        sums = self._sums(values)
        return float(sums.sum()) / max(self.episodes, 1), self._resampled(sums)

    def _best(self, bases: Sequence[ArrayLike]) -> tuple[float, Floats]:
        if not bases:
            raise EvaluationError("no base to compare with: pass at least one.")
        points, resampled = zip(*(self._means(base) for base in bases), strict=True)
        return max(points), np.max(resampled, axis=0)

    def _ratio(
        self, above: float, below: float, resampled_above: Floats, resampled_below: Floats
    ) -> Estimate:
        if not below > 0:
            return Estimate(None, None, None, self.episodes)
        # A resample without a positive denominator lies infinitely far out on the numerator's side; a limit
        # that falls on such a resample is undefined.
        usable = resampled_below > 0
        ratios = np.where(resampled_above < 0, -np.inf, np.inf)
        ratios[usable] = resampled_above[usable] / resampled_below[usable]
        return self._estimate(above / below, ratios)

    def _estimate(self, value: float, resampled: Floats) -> Estimate:
        if self.episodes == 0:
            return Estimate(None, None, None, 0)
        if self.tasks < 2:
            return Estimate(value, None, None, self.episodes)
        tail = (1 - self.confidence) / 2
        # Order statistics: interpolation between an infinite and a finite resample would be NaN.
        low, high = np.quantile(resampled, (tail, 1 - tail), method="inverted_cdf")
        return Estimate(value, _finite(low), _finite(high), self.episodes)


def _finite(value: np.float64) -> float | None:
    return float(value) if np.isfinite(value) else None
