"""ROVER's softmax over values of the candidates.

"Random Policy Valuation is Enough for LLM Reasoning with Verifiable Rewards" (arXiv 2509.24981), theorem 3.2:
p(a | s) ~ exp(Q(s, a) / rho), with Q the value under uniform choice. rho must be of the order of the gap
between values: rho = 1 with success probabilities is close to uniform. For one good action of value Q among n,
the others worthless, it is missed with probability at most d where

    rho <= Q / ln((n - 1)(1 - d) / d)
"""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agentq.critics.base import Scores
from agentq.errors import SelectorError
from agentq.selectors.base import BaseSelector, Selection
from agentq.selectors.drawing import checked_values
from agentq.types import Candidate, FloatArray

_STATES = 32  # decisions with a choice before the temperature is judged
_SETTINGS = 64  # that are judged: a server may be asked for any number of them
_UNIFORM = 0.5  # failure above which a choice hardly depends on the values


class TemperatureWarning(UserWarning):
    """The temperature is large against the gaps between values: the choice is close to uniform."""


def largest_temperature(gap: float, n: int, failure: float = 0.05) -> float:
    """rho up to which one action that is ``gap`` better than n - 1 equal others is missed with at most ``failure``.

    inf where any temperature will do: n = 1, or a failure that chance alone does not reach. Raises
    ``SelectorError`` unless gap >= 0, n >= 1 and 0 < failure < 1.
    """
    if not (gap >= 0 and n >= 1 and 0 < failure < 1):
        raise SelectorError(
            f"gap={gap}, n={n}, failure={failure}: expected gap >= 0, n >= 1 and 0 < failure < 1."
        )
    odds = (n - 1) * (1 - failure) / failure
    return gap / math.log(odds) if odds > 1 else math.inf


@dataclass(frozen=True)
class Softmax(BaseSelector):
    """p_j = exp((q_j - max q) / (rho c)) / sum, invalid candidates at 0.

    ``temperature`` is rho > 0. ``scale`` chooses c over the usable values of the state: 1 (none), the largest
    magnitude (max) or the standard deviation (std); c = 0 means that all are equal, hence uniform. The limits
    are uniform over the best (rho -> 0) and over all usable ones (rho -> inf). Once per process and setting a
    ``TemperatureWarning`` says that rho is large against the gaps of the first 32 states with a choice.
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

    def select(self, scores: Scores, candidates: Sequence[Candidate], rng: np.random.Generator) -> Selection:
        """Draw one candidate; one uniform number is taken from ``rng``, whatever N."""
        selection = super().select(scores, candidates, rng)
        if len(_observed) < _SETTINGS or self in _observed:
            self._watch(np.asarray(scores.q, dtype=np.float64), _observed.setdefault(self, []))
        return selection

    def _watch(self, values: FloatArray, limits: list[tuple[float, int]]) -> None:
        usable = values[np.isfinite(values)]
        with np.errstate(over="ignore"):
            gap = float(np.ptp(usable))
        unit = self._unit(usable)
        if len(limits) >= _STATES or gap == 0 or unit == 0:
            return
        limits.append((gap / unit, len(usable)))
        if len(limits) < _STATES:
            return
        allowed = statistics.median(largest_temperature(gap, n, _UNIFORM) for gap, n in limits)
        if self.temperature > allowed:
            advised = statistics.median(largest_temperature(gap, n) for gap, n in limits)
            warnings.warn(
                f"softmax: temperature {self.temperature:g} is large against the gaps between values (median "
                f"{statistics.median(gap for gap, _ in limits):.3g} over {_STATES} states): even a lone best "
                f"candidate is missed more than half of the time. Near {advised:.2g} it is missed in 5 %.",
                TemperatureWarning,
                stacklevel=3,
            )


#: (largest gap, usable candidates) of the first states of each setting; no choice depends on it.
_observed: dict[Softmax, list[tuple[float, int]]] = {}
