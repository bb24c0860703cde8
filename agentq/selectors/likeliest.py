"""The candidate that the policy finds likeliest, without a critic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agentq.critics.base import Scores
from agentq.errors import SelectorError
from agentq.selectors.base import BaseSelector
from agentq.selectors.drawing import checked_values, one_hot
from agentq.types import Candidate, FloatArray


@dataclass(frozen=True)
class Likeliest(BaseSelector):
    """argmax of the policy's log-probability, first of equals; -inf values exclude.

    The sum over tokens prefers short actions; ``per_token`` divides by their number.
    """

    name = "likeliest"
    per_token: bool = False

    def probabilities(self, scores: Scores, candidates: Sequence[Candidate]) -> FloatArray:
        """1 for the chosen candidate, (N,). Raises ``SelectorError`` when a log-probability is missing."""
        values = checked_values(scores, candidates, self.name)
        likelihoods = np.full(len(values), -np.inf)
        for i in np.flatnonzero(np.isfinite(values)).tolist():
            likelihoods[i] = self._score(candidates[i], i)
        best = int(np.argmax(likelihoods))
        return one_hot(best, len(values))

    def _score(self, candidate: Candidate, index: int) -> float:
        logprob = candidate.logprob
        if logprob is None or not np.isfinite(logprob):
            raise SelectorError(
                f"{self.name}: candidate {index} has log-probability {logprob}, expected a number; use a "
                "policy that keeps log-probabilities, or the selector 'majority'."
            )
        return logprob / len(candidate.token_logprobs) if self.per_token else logprob
