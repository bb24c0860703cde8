"""The candidate that the policy finds likeliest, without a critic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agentq.critics.base import Scores
from agentq.selectors.base import BaseSelector
from agentq.selectors.drawing import checked_values, one_hot
from agentq.selectors.priors import log_prior
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
        usable = np.isfinite(checked_values(scores, candidates, self.name))
        prior = log_prior(candidates, usable, "logprob_norm" if self.per_token else "logprob", self.name)
        return one_hot(int(np.argmax(prior)), len(prior))
