"""Never worse than the agent you had: the learned action must beat the agent's own by a margin.

From the idea of starting at a controller that is known to be good and accepting only improvements over it
(YANN-RL, notes B6): a pessimistic value of the learned action against the expected one of the baseline's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agentq.critics.base import Scores
from agentq.selectors.base import BaseSelector
from agentq.selectors.bounds import Bound, bounded_values, check_bound, check_choice, check_number
from agentq.selectors.drawing import one_hot
from agentq.selectors.first import First
from agentq.selectors.likeliest import Likeliest
from agentq.selectors.majority import MajorityVote
from agentq.types import Candidate, FloatArray

#: Logged where the critic preferred another action than the baseline's, but not by enough.
KEPT = "baseline_kept"


@dataclass(frozen=True)
class Fallback(BaseSelector):
    """argmax of the lower bound if it exceeds the baseline candidate's value by ``margin``, else the baseline.

    ``baseline`` names the choice of the agent without a critic: its first sample, its likeliest action (sum
    of log-probabilities) or its majority vote. ``bound`` values the learned action, ``baseline_bound`` the
    baseline's; the defaults compare a minimum over heads with a mean, so disagreement of heads favours the
    baseline. A critic with one head needs "none" for both.
    """

    name = "fallback"
    baseline: Literal["first", "likeliest", "majority"] = "first"
    margin: float = 0.0  # in units of value
    bound: Bound = "min"
    baseline_bound: Bound = "mean"
    pessimism: float = 1.0  # standard deviations taken off by mean_std

    def __post_init__(self) -> None:
        check_choice("baseline", self.baseline, ("first", "likeliest", "majority"))
        check_number("margin", self.margin, least=0.0)
        check_bound(self.bound, self.pessimism)
        check_bound(self.baseline_bound, self.pessimism)

    def probabilities(self, scores: Scores, candidates: Sequence[Candidate]) -> FloatArray:
        """1 for the chosen candidate, (N,). Raises ``SelectorError`` when no value is usable."""
        learned, baseline, better = self._compare(scores, candidates)
        return one_hot(learned if better else baseline, len(candidates))

    def flags(self, scores: Scores, candidates: Sequence[Candidate]) -> tuple[str, ...]:
        """``baseline_kept`` where the critic's own favourite was another one."""
        learned, baseline, better = self._compare(scores, candidates)
        return (KEPT,) if learned != baseline and not better else ()

    def _compare(self, scores: Scores, candidates: Sequence[Candidate]) -> tuple[int, int, bool]:
        """The learned candidate, the baseline's, and whether the learned one may replace it."""
        lower = bounded_values(scores, candidates, self.bound, self.pessimism, self.name)
        expected = bounded_values(scores, candidates, self.baseline_bound, self.pessimism, self.name)
        rules = {"first": First(), "likeliest": Likeliest(), "majority": MajorityVote()}
        baseline = int(np.argmax(rules[self.baseline].probabilities(scores, candidates)))
        learned = int(np.argmax(lower))
        return learned, baseline, bool(lower[learned] > expected[baseline] + self.margin)
