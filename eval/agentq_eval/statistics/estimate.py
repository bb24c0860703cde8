"""A number with its interval, and the checks that all estimators share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agentq.errors import EvaluationError

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval; None: undefined for these data."""

    value: float | None
    low: float | None
    high: float | None
    n: int  # episodes behind it


def checked(values: ArrayLike, name: str = "values") -> Floats:
    """A vector of finite numbers. Raises ``EvaluationError`` naming the first that is not."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise EvaluationError(f"{name} have shape {array.shape}, expected one number per episode.")
    if not np.isfinite(array).all():
        place = int(np.flatnonzero(~np.isfinite(array))[0])
        raise EvaluationError(
            f"{name}[{place}] is {array[place]}, expected finite numbers. Drop or score it first."
        )
    return array


def clusters(tasks: Sequence[str], count: int) -> tuple[NDArray[np.int64], int]:
    """The number of each episode's task and how many tasks there are. Raises ``EvaluationError``."""
    if len(tasks) != count:
        raise EvaluationError(f"{len(tasks)} tasks for {count} values: expected one per episode.")
    names, index = np.unique(np.asarray(tasks, dtype=np.str_), return_inverse=True)
    return index.astype(np.int64), len(names)


def share(value: float, name: str) -> float:
    """``value`` itself. Raises ``EvaluationError`` unless it lies strictly between 0 and 1."""
    if not 0 < value < 1:
        raise EvaluationError(f"{name}={value}: expected a share strictly between 0 and 1, such as 0.95.")
    return value
