"""Upper confidence bound over heads: try what the critic is unsure about, to learn from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agentq.critics.base import Scores
from agentq.errors import SelectorError
from agentq.selectors.base import BaseSelector
from agentq.selectors.bounds import check_choice, check_number, head_values
from agentq.selectors.drawing import checked_values, one_hot
from agentq.types import Candidate, FloatArray


@dataclass(frozen=True)
class UpperConfidenceBound(BaseSelector):
    """argmax of mean_k Q_k + bonus * std_k Q_k over K >= 2 heads, first of equals.

    ``discount`` "samples" divides the bonus by the square root of ``Candidate.count``: what the policy
    proposes often is logged often anyway, so its uncertainty needs no extra visit. Counts of visits are not
    known to a selector; where a simulator knows them, use an explorer.
    """

    name = "ucb"
    bonus: float = 1.0  # standard deviations over heads
    discount: Literal["none", "samples"] = "none"

    def __post_init__(self) -> None:
        check_number("bonus", self.bonus, least=0.0)
        check_choice("discount", self.discount, ("none", "samples"))

    def probabilities(self, scores: Scores, candidates: Sequence[Candidate]) -> FloatArray:
        """1 for the chosen candidate, (N,). Raises ``SelectorError`` with fewer than two heads."""
        usable = np.isfinite(checked_values(scores, candidates, self.name))
        heads = head_values(scores, usable, self.name)
        if len(heads) < 2:
            raise SelectorError(
                f"{self.name}: the critic has {len(heads)} head, expected at least 2: one head has no spread. "
                "Train with more heads, or collect with epsilon_greedy."
            )
        bonus = self.bonus * heads.std(axis=0)
        if self.discount == "samples":
            bonus = bonus / np.sqrt([candidates[i].count for i in map(int, np.flatnonzero(usable))])
        values = np.full(len(usable), -np.inf)
        values[usable] = heads.mean(axis=0) + bonus
        return one_hot(int(np.argmax(values)), len(values))
