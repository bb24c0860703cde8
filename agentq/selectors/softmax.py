"""ROVER's softmax over values of the candidates.

"Random Policy Valuation is Enough for LLM Reasoning with Verifiable Rewards" (arXiv 2509.24981), theorem 3.2:
p(a | s) ~ exp(Q(s, a) / rho), with Q the value under uniform choice. rho must be of the order of the gap
between values: rho = 1 with success probabilities is close to uniform.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agentq.critics.base import Scores
from agentq.errors import SelectorError
from agentq.selectors.base import BaseSelector
from agentq.selectors.drawing import checked_values
from agentq.types import Candidate, FloatArray


@dataclass(frozen=True)
class Softmax(BaseSelector):
    """p_j = exp((q_j - max q) / (rho c)) / sum, invalid candidates at 0.

    ``temperature`` is rho > 0. ``scale`` chooses c over the usable values of the state: 1 (none), the largest
    magnitude (max) or the standard deviation (std); c = 0 means that all are equal, hence uniform.
    """

    name = "softmax"
    draws = True
    temperature: float = 0.1  # in units of the values, or of c
    scale: Literal["none", "max", "std"] = "none"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise SelectorError(
                f"temperature is {self.temperature}, expected a positive number; "
                "for the limit 0 use best_of_n."
            )
        if self.scale not in ("none", "max", "std"):
            raise SelectorError(f"scale is {self.scale!r}, expected 'none', 'max' or 'std'.")

    def probabilities(self, scores: Scores, candidates: Sequence[Candidate]) -> FloatArray:
        """The distribution, (N,). Raises ``SelectorError`` when no value is usable."""
        values = checked_values(scores, candidates, self.name)
        unit = self._unit(values[np.isfinite(values)])
        with np.errstate(over="ignore"):  # a gap beyond the float range is a probability of 0
            gaps = values - values.max()  # <= 0; the maximum is finite
            if unit > 0:
                gaps = gaps / unit / self.temperature
        weights = np.exp(gaps)
        return weights / weights.sum()

    def _unit(self, usable: FloatArray) -> float:
        if self.scale == "none":
            return 1.0
        return float(np.abs(usable).max() if self.scale == "max" else usable.std())
