"""The best trade between value and staying with the policy, in closed form.

The maximiser of E[Q] - KL(p || p0) / eta over distributions p on the candidates is

    p_j = p0_j exp(eta (Q_j - V)),   V = (1/eta) log sum_j p0_j exp(eta Q_j)

(notes A11, the line of "Vectorized Online POMDP Planning" and reference policy programming). eta -> 0 gives the
policy's own choice p0, eta -> infinity the best value. With p0 uniform it is softmax at temperature 1/eta.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from agentq.critics.base import Scores
from agentq.errors import SelectorError
from agentq.selectors.base import BaseSelector
from agentq.selectors.bounds import Bound, bounded_values, check_bound, check_choice, check_number
from agentq.selectors.drawing import one_hot
from agentq.selectors.priors import Prior, log_prior
from agentq.types import Candidate, FloatArray


@dataclass(frozen=True)
class Reference(BaseSelector):
    """p_j ~ p0_j^weight exp(eta Q_j / c), invalid candidates at 0.

    ``prior`` says what p0 is. Candidates that were drawn from the policy carry it in their counts already:
    "samples" (the default) does not count it twice, "logprob" does. ``scale`` divides Q by its spread over
    the usable candidates (std) or its largest magnitude (max), so that eta has no unit. ``choose`` takes the
    likeliest of p instead of drawing from it.
    """

    name = "reference"
    eta: float = 5.0  # inverse temperature, per unit of value (of c)
    prior: Prior = "samples"
    weight: float = 1.0  # exponent of the prior, 0: softmax
    bound: Bound = "none"
    pessimism: float = 1.0  # standard deviations taken off by mean_std
    scale: Literal["none", "max", "std"] = "none"
    choose: Literal["sample", "argmax"] = "sample"

    def __post_init__(self) -> None:
        check_number("eta", self.eta, least=0.0)
        check_number("weight", self.weight, least=0.0)
        check_bound(self.bound, self.pessimism)
        check_choice("prior", self.prior, get_args(Prior))
        check_choice("scale", self.scale, ("none", "max", "std"))
        check_choice("choose", self.choose, ("sample", "argmax"))

    @property
    def draws(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether a random number decides."""
        return self.choose == "sample"

    def probabilities(self, scores: Scores, candidates: Sequence[Candidate]) -> FloatArray:
        """The distribution, (N,); where ``choose`` is argmax, 1 for its first mode.

        Raises ``SelectorError`` when no value is usable or a log-probability is missing.
        """
        logits, _ = self._logits(scores, candidates)
        if not self.draws:
            return one_hot(int(np.argmax(logits)), len(logits))
        weights = np.exp(logits - logits.max())
        return weights / weights.sum()

    def value(self, scores: Scores, candidates: Sequence[Candidate]) -> float:
        """V, the value of the state under this trade, in the units of Q; the prior is normalised.

        Raises ``SelectorError`` for eta 0 (V is then the prior's mean) and with a ``scale``.
        """
        if self.eta == 0 or self.scale != "none":
            raise SelectorError(
                f"{self.name}: V needs eta > 0 and scale='none', got eta={self.eta} and scale={self.scale!r}."
            )
        logits, normaliser = self._logits(scores, candidates)
        return (_log_sum_exp(logits) - normaliser) / self.eta

    def _logits(self, scores: Scores, candidates: Sequence[Candidate]) -> tuple[FloatArray, float]:
        """eta Q + weight log p0, (N,), and the log of the sum of p0^weight."""
        values = bounded_values(scores, candidates, self.bound, self.pessimism, self.name)
        usable = np.isfinite(values)
        logits = np.full(len(values), -np.inf)
        prior = self.weight * log_prior(candidates, usable, self.prior, self.name)[usable]
        logits[usable] = self.eta * self._scaled(values[usable]) + prior
        return logits, _log_sum_exp(prior)

    def _scaled(self, usable: FloatArray) -> FloatArray:
        if self.scale == "none":
            return usable
        unit = np.abs(usable).max() if self.scale == "max" else usable.std()
        return usable / unit if unit > 0 else np.zeros_like(usable)


def _log_sum_exp(logits: FloatArray) -> float:
    highest = float(logits.max())
    return highest + math.log(float(np.exp(logits - highest).sum()))
