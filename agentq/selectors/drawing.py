"""What all selectors share: refusing unusable values, and turning a uniform number into an index."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agentq.critics.base import Scores
from agentq.errors import SelectorError
from agentq.types import Candidate, FloatArray


def checked_values(scores: Scores, candidates: Sequence[Candidate], selector: str) -> FloatArray:
    """The values as (N,) float64; raises ``SelectorError`` unless N >= 1, none is NaN or +inf, one is finite.

    -inf marks a candidate that must not be chosen.
    """
    values = np.asarray(scores.q, dtype=np.float64)
    if values.shape != (len(candidates),):
        raise SelectorError(
            f"{selector}: values of shape {values.shape} for {len(candidates)} candidates, expected "
            f"({len(candidates)},); score exactly the candidates that are handed over."
        )
    if len(candidates) == 0:
        raise SelectorError(
            f"{selector}: no candidates, expected at least one; check the policy's proposals."
        )
    impossible = np.isnan(values) | np.isposinf(values)
    if impossible.any():
        index = int(np.argmax(impossible))
        raise SelectorError(
            f"{selector}: candidate {index} ({candidates[index].text[:60]!r}) has value {values[index]}, "
            "expected a number or -inf for an invalid candidate; check the critic's features for NaN."
        )
    if np.isneginf(values).all():
        reasons = [candidate.error for candidate in candidates if candidate.error]
        because = f" (first reason: {reasons[0]})" if reasons else ""
        raise SelectorError(
            f"{selector}: all {len(candidates)} candidates are invalid{because}, expected at least one "
            "usable one; sample more candidates, or restrict the policy to admissible actions."
        )
    return values


def one_hot(index: int, size: int) -> FloatArray:
    """(N,) with 1 at ``index``."""
    probabilities = np.zeros(size, dtype=np.float64)
    probabilities[index] = 1.0
    return probabilities


def index_of_draw(probabilities: FloatArray, draw: float) -> int:
    """The candidate whose slice of [0, 1) contains ``draw``; never one of probability 0.

    Raises ``SelectorError`` unless 0 <= draw < 1.
    """
    if not 0.0 <= draw < 1.0:
        raise SelectorError(f"the draw is {draw}, expected a number in [0, 1); pass the one that was logged.")
    edges: FloatArray = np.cumsum(probabilities)
    # The sum may fall short of 1 by rounding; scaling keeps the last slice reachable and not beyond the end.
    index = int(np.searchsorted(edges, draw * float(edges[-1]), side="right"))
    return min(index, int(np.flatnonzero(probabilities)[-1]))


def needed_draw(draw: float | None, selector: str) -> float:
    """The logged draw; raises ``SelectorError`` when none was logged."""
    if draw is None:
        raise SelectorError(
            f"{selector} draws at random, but no draw was logged; replay with the draw of the log."
        )
    return draw
