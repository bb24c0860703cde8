"""The first usable candidate: what the policy proposed first, without a critic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agentq.critics.base import Scores
from agentq.selectors.base import BaseSelector
from agentq.selectors.drawing import checked_values, one_hot
from agentq.types import Candidate, FloatArray


@dataclass(frozen=True)
class First(BaseSelector):
    """The first candidate whose value is not -inf; deduplication keeps the order of sampling."""

    name = "first"

    def probabilities(self, scores: Scores, candidates: Sequence[Candidate]) -> FloatArray:
        """1 for the chosen candidate, (N,). Raises ``SelectorError`` when no candidate is usable."""
        values = checked_values(scores, candidates, self.name)
        return one_hot(int(np.argmax(np.isfinite(values))), len(values))
