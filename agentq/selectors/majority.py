"""Majority vote: the action that the policy proposed most often, without a critic."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agentq.critics.base import Scores
from agentq.selectors.base import BaseSelector
from agentq.selectors.drawing import checked_values, one_hot
from agentq.types import Candidate, FloatArray


@dataclass(frozen=True)
class MajorityVote(BaseSelector):
    """Most votes; ties go to the larger own count, then the larger log-probability, then the first.

    The votes of a candidate are the counts of all candidates with the same parsed action. Values only exclude
    (-inf); a candidate without log-probability loses that tie.
    """

    name = "majority"

    def probabilities(self, scores: Scores, candidates: Sequence[Candidate]) -> FloatArray:
        """1 for the chosen candidate, (N,). Raises ``SelectorError`` when no candidate is usable."""
        values = checked_values(scores, candidates, self.name)
        usable = [int(i) for i in np.flatnonzero(np.isfinite(values))]
        votes: Counter[str] = Counter()
        for i in usable:
            votes[_action(candidates[i])] += candidates[i].count

        def rank(i: int) -> tuple[int, int, float, int]:
            logprob = candidates[i].logprob
            likelihood = -math.inf if logprob is None else logprob
            return votes[_action(candidates[i])], candidates[i].count, likelihood, -i

        return one_hot(max(usable, key=rank), len(values))


def _action(candidate: Candidate) -> str:
    return candidate.action if candidate.action is not None else candidate.text
