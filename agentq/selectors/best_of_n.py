"""Best of N: the candidate of highest value, or of highest lower bound over the critic's heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agentq.critics.base import Scores
from agentq.selectors.base import BaseSelector
from agentq.selectors.bounds import Bound, bounded_values, check_bound, check_choice
from agentq.selectors.drawing import one_hot
from agentq.types import Candidate, FloatArray


@dataclass(frozen=True)
class BestOfN(BaseSelector):
    """argmax_a Q(s, a).

    ``ties``: the first of equals wins, or each with the same probability (random; the limit of softmax at
    temperature 0). ``bound`` replaces the critic's own aggregation by a rule over its heads, with
    ``pessimism`` standard deviations taken off by mean_std.
    """

    name = "best_of_n"
    ties: Literal["first", "random"] = "first"
    bound: Bound = "none"
    pessimism: float = 1.0  # standard deviations

    def __post_init__(self) -> None:
        check_choice("ties", self.ties, ("first", "random"))
        check_bound(self.bound, self.pessimism)

    @property
    def draws(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether a random number decides."""
        return self.ties == "random"

    def probabilities(self, scores: Scores, candidates: Sequence[Candidate]) -> FloatArray:
        """1 for the chosen candidate, shared among equals where ties are random, (N,).

        Raises ``SelectorError`` when no value is usable or the bound needs heads that are not there.
        """
        values = bounded_values(scores, candidates, self.bound, self.pessimism, self.name)
        if not self.draws:
            return one_hot(int(np.argmax(values)), len(values))
        best = values == values.max()
        return best / best.sum()
