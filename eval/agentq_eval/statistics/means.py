"""Means with closed-form intervals: Student's t, independent or clustered by task, and Wilcoxon for pairs."""

# scipy has no type stubs.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownMemberType=false

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from agentq.errors import EvaluationError
from agentq_eval.statistics.estimate import Estimate, checked, clusters, share


def t_interval(values: ArrayLike, tasks: Sequence[str] | None = None, confidence: float = 0.95) -> Estimate:
    """Mean with Student's t interval; with ``tasks`` its error is clustered by them, tasks - 1 degrees of freedom.

    Fewer than two values (or tasks) give no limits.
    """
    from scipy.special import stdtrit

    array = checked(values)
    if not len(array):
        return Estimate(None, None, None, 0)
    mean = float(array.mean())
    if tasks is None:
        error, groups = standard_error(array), len(array)
    else:
        error, groups = clustered_error(array, tasks), clusters(tasks, len(array))[1]
    if error is None:
        return Estimate(mean, None, None, len(array))
    half = float(stdtrit(groups - 1, 0.5 + share(confidence, "confidence") / 2)) * error
    return Estimate(mean, mean - half, mean + half, len(array))


def standard_error(values: ArrayLike) -> float | None:
    """s / sqrt(n) with n - 1; None below two values."""
    array = checked(values)
    return float(array.std(ddof=1)) / math.sqrt(len(array)) if len(array) > 1 else None


def clustered_error(values: ArrayLike, tasks: Sequence[str]) -> float | None:
    """Standard error of the mean with tasks as clusters: sqrt(C/(C-1) sum_c (sum of deviations)^2) / n.

    None below two tasks (Liang and Zeger 1986, with the small-sample factor).
    """
    array = checked(values)
    index, count = clusters(tasks, len(array))
    if count < 2:
        return None
    sums = np.bincount(index, weights=array - array.mean(), minlength=count)
    return math.sqrt(count / (count - 1) * float((sums**2).sum())) / len(array)


def paired_t(
    values: ArrayLike, base: ArrayLike, tasks: Sequence[str] | None = None, confidence: float = 0.95
) -> Estimate:
    """Mean of the paired differences ``values - base`` with Student's t interval."""
    return t_interval(_differences(values, base), tasks, confidence)


def wilcoxon(values: ArrayLike, base: ArrayLike) -> float:
    """Two-sided p of Wilcoxon's signed-rank test on paired scores (ties dropped); 1 when none differs."""
    from scipy import stats

    differences = _differences(values, base)
    if not differences.any():
        return 1.0
    tested: Any = stats.wilcoxon(differences, zero_method="wilcox")
    return float(tested.pvalue)


def _differences(values: ArrayLike, base: ArrayLike) -> Any:
    ours, theirs = checked(values), checked(base, "base")
    if ours.shape != theirs.shape:
        raise EvaluationError(f"{len(ours)} and {len(theirs)} values: expected pairs of the same episodes.")
    return ours - theirs
