"""Aggregates over tasks and seeds that few outliers do not move (Agarwal et al. 2021, arXiv 2108.13264).

Scores are (S, T): one row per seed (a run of all tasks), one column per task. Intervals are stratified
bootstraps as in rliable: within each task seeds are resampled, all tasks stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agentq.errors import EvaluationError
from agentq_eval.statistics.estimate import Estimate, Floats, checked, clusters, share


def interquartile_mean(scores: ArrayLike) -> float:
    """Mean of the middle half of all seeds and tasks: the quarter at either end is cut off, rounded down."""
    flat = np.sort(_matrix(scores), axis=None)
    cut = int(0.25 * len(flat))
    return float(flat[cut : len(flat) - cut].mean())


def interquartile_interval(
    values: ArrayLike, tasks: Sequence[str], repetitions: int = 2000, seed: int = 0, confidence: float = 0.95
) -> Estimate:
    """Mean of the middle half of the episodes, with a percentile bootstrap over tasks.

    For one seed or few, where ``stratified_interval`` has nothing to resample. The quarters at either end are
    cut exactly: an episode across a quartile counts in part.
    """
    array = checked(values)
    index, count = clusters(tasks, len(array))
    if not len(array):
        return Estimate(None, None, None, 0)
    order = np.argsort(array, kind="stable")
    point = float(_middle(array[order], np.ones((1, len(array))))[0])
    if count < 2:
        return Estimate(point, None, None, len(array))
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=repetitions)
    means = _middle(array[order], weights[:, index[order]].astype(np.float64))
    tail = (1 - share(confidence, "confidence")) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return Estimate(point, float(low), float(high), len(array))


def optimality_gap(scores: ArrayLike, threshold: float = 1.0) -> float:
    """How much is missing to ``threshold`` on average; what is above it counts as equal to it."""
    return float(threshold - np.minimum(_matrix(scores), threshold).mean())


def probability_of_improvement(scores: ArrayLike, base: ArrayLike) -> float:
    """Chance that a random seed of the first scores above one of ``base`` on a random task; ties count half."""
    ours, theirs = _matrix(scores), _matrix(base)
    if ours.shape[1] != theirs.shape[1]:
        raise EvaluationError(
            f"{ours.shape[1]} and {theirs.shape[1]} tasks: expected scores on the same tasks in the same order."
        )
    above = (ours[:, None, :] > theirs[None, :, :]).mean(axis=(0, 1))  # (T,)
    equal = (ours[:, None, :] == theirs[None, :, :]).mean(axis=(0, 1))
    return float((above + equal / 2).mean())


def performance_profile(scores: ArrayLike, thresholds: Sequence[float]) -> Floats:
    """Share of seeds and tasks that score above each threshold, (len(thresholds),)."""
    flat = _matrix(scores).ravel()
    return np.array([(flat > threshold).mean() for threshold in thresholds])


def stratified_interval(
    function: Callable[..., float],
    *scores: ArrayLike,
    repetitions: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Estimate:
    """``function(*scores)`` with a percentile bootstrap that resamples the seeds of each task.

    With one seed there is nothing to resample, hence no limits: use ``TaskBootstrap``, which resamples tasks.
    """
    matrices = [_matrix(one) for one in scores]
    share(confidence, "confidence")
    point = function(*matrices)
    if min(matrix.shape[0] for matrix in matrices) < 2:
        return Estimate(point, None, None, matrices[0].size)
    rng = np.random.default_rng(seed)
    found = [function(*(_resampled(matrix, rng) for matrix in matrices)) for _ in range(repetitions)]
    low, high = np.quantile(found, ((1 - confidence) / 2, (1 + confidence) / 2))
    return Estimate(point, float(low), float(high), matrices[0].size)


def _middle(ordered: Floats, weights: Floats) -> Floats:
    """Weighted mean between the quartiles; (R, E) weights of values in rising order."""
    until = np.cumsum(weights, axis=1)
    total = until[:, -1:]
    inside = np.clip(until, total / 4, 3 * total / 4)
    parts = np.diff(inside, axis=1, prepend=total / 4)
    return (parts @ ordered) / (total[:, 0] / 2)


def _resampled(matrix: Floats, rng: np.random.Generator) -> Floats:
    rows: NDArray[np.int64] = rng.integers(matrix.shape[0], size=matrix.shape)
    return np.take_along_axis(matrix, rows, axis=0)


def _matrix(scores: ArrayLike) -> Floats:
    matrix = np.asarray(scores, dtype=np.float64)
    if matrix.ndim != 2 or not matrix.size or not np.isfinite(matrix).all():
        raise EvaluationError(
            f"scores have shape {matrix.shape}, expected finite numbers as (seeds, tasks), at least one of each."
        )
    return matrix
