"""Mostly the best, sometimes any: the plainest way to collect logs that hold more than the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agentq.critics.base import Scores
from agentq.selectors.base import BaseSelector
from agentq.selectors.bounds import check_choice, check_number
from agentq.selectors.drawing import checked_values, one_hot
from agentq.types import Candidate, FloatArray


@dataclass(frozen=True)
class EpsilonGreedy(BaseSelector):
    """(1 - epsilon) on argmax Q (first of equals) plus epsilon spread over all usable candidates.

    ``explore`` spreads it evenly over distinct candidates (uniform) or over the policy's samples (samples),
    which explores as the policy itself would. The logged probabilities make such logs fit for off-policy
    estimates: none is 0.
    """

    name = "epsilon_greedy"
    draws = True
    epsilon: float = 0.1
    explore: Literal["uniform", "samples"] = "uniform"

    def __post_init__(self) -> None:
        check_number("epsilon", self.epsilon, least=0.0, most=1.0)
        check_choice("explore", self.explore, ("uniform", "samples"))

    def probabilities(self, scores: Scores, candidates: Sequence[Candidate]) -> FloatArray:
        """The distribution, (N,). Raises ``SelectorError`` when no value is usable."""
        values = checked_values(scores, candidates, self.name)
        weights = np.isfinite(values).astype(np.float64)
        if self.explore == "samples":
            weights *= [candidate.count for candidate in candidates]
        greedy = one_hot(int(np.argmax(values)), len(values))
        return (1 - self.epsilon) * greedy + self.epsilon * (weights / weights.sum())
