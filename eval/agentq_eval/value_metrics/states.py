"""Candidates of many states as flat arrays, and the checks that value metrics share.

``sizes`` (S,) counts the candidates of each state; the flat arrays (C,), C = sum(sizes), hold the first
state's candidates, then the second's, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agentq.errors import EvaluationError

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]


def candidate_counts(sizes: Sequence[int] | Indices, tasks: Sequence[str]) -> Indices:
    """``sizes`` as an array. Raises ``EvaluationError`` for a state without candidates or without a task."""
    counts = np.asarray(sizes, dtype=np.int64)
    if counts.ndim != 1 or (counts < 1).any():
        raise EvaluationError(f"sizes are {counts.tolist()[:10]}, expected at least one candidate per state.")
    if len(tasks) != len(counts):
        raise EvaluationError(f"{len(tasks)} tasks for {len(counts)} states: expected one per state.")
    return counts


def values_of(q: ArrayLike, count: int) -> Floats:
    """Q of ``count`` candidates, -inf where there is none. Raises ``EvaluationError`` for NaN and +inf."""
    array = _vector(q, count, "q")
    wrong = np.isnan(array) | (array == np.inf)
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise EvaluationError(
            f"q[{place}] is {array[place]}, expected a number, or -inf for an invalid candidate. "
            "A critic that returns it is broken."
        )
    return array


def labels_of(labels: ArrayLike, count: int, name: str = "labels") -> Floats:
    """What ``count`` candidates were worth, NaN where unknown. Raises ``EvaluationError`` for infinities."""
    array = _vector(labels, count, name)
    if np.isinf(array).any():
        place = int(np.flatnonzero(np.isinf(array))[0])
        raise EvaluationError(
            f"{name}[{place}] is {array[place]}, expected a number, or NaN where it is unknown."
        )
    return array


def kept_counts(keep: Flags, sizes: Indices) -> Indices:
    """How many candidates of each state are kept, (S,)."""
    of_state = np.repeat(np.arange(len(sizes)), sizes)
    return np.bincount(of_state[keep], minlength=len(sizes)).astype(np.int64)


def tasks_at(tasks: Sequence[str], where: Indices | Flags) -> list[str]:
    """The tasks at these places, or where the flags are set."""
    places: list[int] = (np.flatnonzero(where) if where.dtype == np.bool_ else where).tolist()
    return [tasks[place] for place in places]


def _vector(values: ArrayLike, count: int, name: str) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (count,):
        raise EvaluationError(f"{name} have shape {array.shape}, expected ({count},): one per candidate.")
    return array
