"""Intervals and tests for successes."""

# scipy has no type stubs.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownMemberType=false

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from agentq.errors import EvaluationError
from agentq_eval.statistics.estimate import Estimate, checked


def wilson(successes: float, n: float, confidence: float = 0.95) -> Estimate:
    """Wilson's score interval of a proportion (Wilson 1927); ``n`` may be an effective, fractional number.

    Raises ``EvaluationError`` unless 0 <= successes <= n. ``n = 0`` is undefined.
    """
    if not 0 <= successes <= n:
        raise EvaluationError(f"{successes} successes of {n}: expected between 0 and n.")
    if n == 0:
        return Estimate(None, None, None, 0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low = 0.0 if successes == 0 else max(centre - half, 0.0)  # exactly, not up to rounding
    high = 1.0 if successes == n else min(centre + half, 1.0)
    return Estimate(share, low, high, round(n))


@dataclass(frozen=True, slots=True)
class McNemar:
    """Paired successes of two arms: what differs, and how surprising that is if nothing does."""

    won: int  # pairs that only the first solved
    lost: int  # pairs that only the second solved
    p: float  # exact, two-sided (McNemar 1947)
    mid_p: float  # less conservative (Fagerland et al. 2013)


def mcnemar(successes: ArrayLike, base: ArrayLike) -> McNemar:
    """McNemar's test on paired 0/1 outcomes; p = 1 when no pair differs.

    Raises ``EvaluationError`` for other values or lengths that differ.
    """
    ours, theirs = checked(successes, "successes"), checked(base, "base")
    if ours.shape != theirs.shape:
        raise EvaluationError(
            f"{len(ours)} and {len(theirs)} successes: expected pairs of the same episodes."
        )
    if not (np.isin(ours, (0, 1)).all() and np.isin(theirs, (0, 1)).all()):
        raise EvaluationError(
            "a success is neither 0 nor 1. Use a paired difference for scores between them."
        )
    won, lost = int((ours > theirs).sum()), int((ours < theirs).sum())
    if not won + lost:
        return McNemar(0, 0, 1.0, 1.0)
    from scipy import stats

    law: Any = stats.binom(won + lost, 0.5)
    tail = float(law.cdf(min(won, lost)))
    return McNemar(won, lost, min(1.0, 2 * tail), min(1.0, 2 * tail - float(law.pmf(min(won, lost)))))
