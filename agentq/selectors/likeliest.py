"""The candidate that the policy finds likeliest, without a critic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agentq.errors import SelectorError
from agentq.selectors.base import Selection
from agentq.selectors.drawing import checked_values, one_hot
from agentq.types import Candidate, FloatArray


@dataclass(frozen=True)
class Likeliest:
    """argmax of the policy's log-probability, first of equals; -inf values exclude.

    The sum over tokens prefers short actions; ``per_token`` divides by their number.
    """

    name = "likeliest"
    per_token: bool = False

    def probabilities(self, q: FloatArray, candidates: Sequence[Candidate]) -> FloatArray:
        """1 for the chosen candidate, (N,). Raises ``SelectorError`` when a log-probability is missing."""
        values = checked_values(q, candidates, self.name)
        scores = np.full(len(values), -np.inf)
        for i in np.flatnonzero(np.isfinite(values)).tolist():
            scores[i] = self._score(candidates[i], i)
        best = int(np.argmax(scores))
        return one_hot(best, len(values))

    def _score(self, candidate: Candidate, index: int) -> float:
        logprob = candidate.logprob
        if logprob is None or not np.isfinite(logprob):
            raise SelectorError(
                f"{self.name}: candidate {index} has log-probability {logprob}, expected a number; use a "
                "policy that keeps log-probabilities, or the selector 'majority'."
            )
        return logprob / len(candidate.token_logprobs) if self.per_token else logprob

    def select(self, q: FloatArray, candidates: Sequence[Candidate], rng: np.random.Generator) -> Selection:
        """The likeliest candidate; ``rng`` is not touched."""
        probabilities = self.probabilities(q, candidates)
        return Selection(probabilities=probabilities, index=int(np.argmax(probabilities)), draw=None)

    def replay(self, q: FloatArray, candidates: Sequence[Candidate], draw: float | None) -> int:
        """The index chosen for these candidates; there is no draw to use."""
        return int(np.argmax(self.probabilities(q, candidates)))
