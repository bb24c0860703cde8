"""One sample: the policy without a critic, reproduced from its N samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agentq.selectors.base import Selection
from agentq.selectors.drawing import checked_values, index_of_draw, needed_draw
from agentq.types import Candidate, FloatArray


@dataclass(frozen=True)
class OneSample:
    """Proportional to ``Candidate.count``: picks one of the N samples uniformly.

    Values only exclude (-inf), so this is the policy sampled once and conditioned on a usable action.
    """

    name = "sample"

    def probabilities(self, q: FloatArray, candidates: Sequence[Candidate]) -> FloatArray:
        """The distribution, (N,). Raises ``SelectorError`` when no candidate is usable."""
        values = checked_values(q, candidates, self.name)
        counts = np.array([candidate.count for candidate in candidates], dtype=np.float64)
        weights = np.where(np.isfinite(values), counts, 0.0)
        return weights / weights.sum()

    def select(self, q: FloatArray, candidates: Sequence[Candidate], rng: np.random.Generator) -> Selection:
        """Draw one candidate; one uniform number is taken from ``rng``, whatever N."""
        probabilities = self.probabilities(q, candidates)
        draw = float(rng.random())
        return Selection(probabilities=probabilities, index=index_of_draw(probabilities, draw), draw=draw)

    def replay(self, q: FloatArray, candidates: Sequence[Candidate], draw: float | None) -> int:
        """The index that ``draw`` chooses for these candidates."""
        return index_of_draw(self.probabilities(q, candidates), needed_draw(draw, self.name))
