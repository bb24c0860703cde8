"""The best of what the log supports: a lower bound over heads, far candidates excluded or penalised.

Support is the distance to the nearest logged (state, action), as in "Policy Regularization with Dataset
Constraint for Offline Reinforcement Learning" (PRDC, arXiv 2306.06569), used to choose instead of to train.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agentq.critics.base import Scores
from agentq.errors import SelectorError
from agentq.selectors.base import BaseSelector
from agentq.selectors.bounds import Bound, bounded_values, check_bound, check_choice, check_number
from agentq.selectors.drawing import one_hot
from agentq.types import Candidate, FloatArray

#: Logged where no usable candidate is within the threshold.
UNSUPPORTED = "unsupported"


@dataclass(frozen=True)
class Pessimistic(BaseSelector):
    """argmax of the lower bound among supported candidates, first of equals.

    ``far`` says what happens beyond ``threshold``: such candidates are left out (exclude; where all are, the
    nearest one is chosen), or lose ``slope`` per unit of distance beyond it (penalise). The decision is
    flagged "unsupported" where no usable candidate is within the threshold. Distances are in units of the
    critic's own radius, so the default 1 leaves out what is farther than most held-out logged steps.
    ``threshold`` None ignores support.
    """

    name = "pessimistic"
    threshold: float | None = 1.0  # in radii
    far: Literal["exclude", "penalise"] = "exclude"
    slope: float = 1.0  # units of value per radius
    bound: Bound = "min"
    pessimism: float = 1.0  # standard deviations taken off by mean_std

    def __post_init__(self) -> None:
        if self.threshold is not None:
            check_number("threshold", self.threshold, least=0.0)
        check_choice("far", self.far, ("exclude", "penalise"))
        check_number("slope", self.slope, least=0.0)
        check_bound(self.bound, self.pessimism)

    def probabilities(self, scores: Scores, candidates: Sequence[Candidate]) -> FloatArray:
        """1 for the chosen candidate, (N,). Raises ``SelectorError`` when support or heads are missing."""
        values = bounded_values(scores, candidates, self.bound, self.pessimism, self.name)
        if self.threshold is None:
            return one_hot(int(np.argmax(values)), len(values))
        distance = self._distance(scores, np.isfinite(values))
        if self.far == "penalise":
            values = values - self.slope * np.where(
                np.isfinite(values), np.maximum(distance - self.threshold, 0.0), 0.0
            )
            return one_hot(int(np.argmax(values)), len(values))
        supported = distance <= self.threshold
        if not supported.any():
            return one_hot(int(np.argmin(distance)), len(values))
        return one_hot(int(np.argmax(np.where(supported, values, -np.inf))), len(values))

    def flags(self, scores: Scores, candidates: Sequence[Candidate]) -> tuple[str, ...]:
        """``unsupported`` where nothing usable is within the threshold."""
        if self.threshold is None:
            return ()
        distance = self._distance(scores, np.isfinite(np.asarray(scores.q, dtype=np.float64)))
        return () if (distance <= self.threshold).any() else (UNSUPPORTED,)

    def _distance(self, scores: Scores, usable: np.ndarray) -> FloatArray:
        """(N,) in radii, inf for what is not usable."""
        if scores.support is None:
            raise SelectorError(
                f"{self.name}: the critic says nothing about support; give it an index "
                "(agentq.critics.support), or set threshold to None to choose by the lower bound alone."
            )
        distance = np.asarray(scores.support, dtype=np.float64)
        if distance.shape != usable.shape or not np.isfinite(distance[usable]).all():
            raise SelectorError(
                f"{self.name}: support is {distance.tolist()}, expected one finite distance for each of the "
                f"{int(usable.sum())} usable of {len(usable)} candidates; check the critic."
            )
        return np.where(usable, distance, np.inf)
