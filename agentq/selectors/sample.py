"""One sample: the policy without a critic, reproduced from its N samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agentq.critics.base import Scores
from agentq.selectors.base import BaseSelector
from agentq.selectors.drawing import checked_values
from agentq.types import Candidate, FloatArray


@dataclass(frozen=True)
class OneSample(BaseSelector):
    """Proportional to ``Candidate.count``: picks one of the N samples uniformly.

    Values only exclude (-inf), so this is the policy sampled once and conditioned on a usable action.
    """

    name = "sample"
    draws = True

    def probabilities(self, scores: Scores, candidates: Sequence[Candidate]) -> FloatArray:
        """The distribution, (N,). Raises ``SelectorError`` when no candidate is usable."""
        values = checked_values(scores, candidates, self.name)
        counts = np.array([candidate.count for candidate in candidates], dtype=np.float64)
        weights = np.where(np.isfinite(values), counts, 0.0)
        return weights / weights.sum()
