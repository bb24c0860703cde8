"""Best of N: the candidate of highest value, the first of equals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agentq.selectors.base import Selection
from agentq.selectors.drawing import checked_values, one_hot
from agentq.types import Candidate, FloatArray


@dataclass(frozen=True)
class BestOfN:
    """argmax_a Q(s, a); the first candidate wins ties."""

    name = "best_of_n"

    def probabilities(self, q: FloatArray, candidates: Sequence[Candidate]) -> FloatArray:
        """1 for the chosen candidate, (N,). Raises ``SelectorError`` when no value is usable."""
        values = checked_values(q, candidates, self.name)
        return one_hot(int(np.argmax(values)), len(values))

    def select(self, q: FloatArray, candidates: Sequence[Candidate], rng: np.random.Generator) -> Selection:
        """The best candidate; ``rng`` is not touched."""
        probabilities = self.probabilities(q, candidates)
        return Selection(probabilities=probabilities, index=int(np.argmax(probabilities)), draw=None)

    def replay(self, q: FloatArray, candidates: Sequence[Candidate], draw: float | None) -> int:
        """The index chosen for these values; there is no draw to use."""
        return int(np.argmax(self.probabilities(q, candidates)))
