"""Best of N: the candidate of highest value, the first of equals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agentq.critics.base import Scores
from agentq.selectors.base import BaseSelector
from agentq.selectors.drawing import checked_values, one_hot
from agentq.types import Candidate, FloatArray


@dataclass(frozen=True)
class BestOfN(BaseSelector):
    """argmax_a Q(s, a); the first candidate wins ties."""

    name = "best_of_n"

    def probabilities(self, scores: Scores, candidates: Sequence[Candidate]) -> FloatArray:
        """1 for the chosen candidate, (N,). Raises ``SelectorError`` when no value is usable."""
        values = checked_values(scores, candidates, self.name)
        return one_hot(int(np.argmax(values)), len(values))
