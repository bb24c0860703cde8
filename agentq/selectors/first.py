"""The first usable candidate: what the policy proposed first, without a critic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agentq.selectors.base import Selection
from agentq.selectors.drawing import checked_values, one_hot
from agentq.types import Candidate, FloatArray


@dataclass(frozen=True)
class First:
    """The first candidate whose value is not -inf; deduplication keeps the order of sampling."""

    name = "first"

    def probabilities(self, q: FloatArray, candidates: Sequence[Candidate]) -> FloatArray:
        """1 for the chosen candidate, (N,). Raises ``SelectorError`` when no candidate is usable."""
        values = checked_values(q, candidates, self.name)
        return one_hot(int(np.argmax(np.isfinite(values))), len(values))

    def select(self, q: FloatArray, candidates: Sequence[Candidate], rng: np.random.Generator) -> Selection:
        """The first usable candidate; ``rng`` is not touched."""
        probabilities = self.probabilities(q, candidates)
        return Selection(probabilities=probabilities, index=int(np.argmax(probabilities)), draw=None)

    def replay(self, q: FloatArray, candidates: Sequence[Candidate], draw: float | None) -> int:
        """The index chosen for these candidates; there is no draw to use."""
        return int(np.argmax(self.probabilities(q, candidates)))
