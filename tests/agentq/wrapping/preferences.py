"""A critic that knows what it likes, and one that fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from agentq.critics.base import Scores
from agentq.types import Candidate, FloatArray, Messages

Batch = Sequence[tuple[Messages, Sequence[Candidate]]]


@dataclass
class Preferences:
    """Values an action by the first word in it that has a value, 0 without; keeps what it was shown."""

    values: Mapping[str, float]
    shown: list[Messages] = field(default_factory=list)
    actions: list[list[str | None]] = field(default_factory=list)

    def score(self, batch: Batch) -> list[FloatArray]:
        return [scores.q for scores in self.score_heads(batch)]

    def score_heads(self, batch: Batch) -> list[Scores]:
        self.shown += [messages for messages, _ in batch]
        self.actions += [[candidate.action for candidate in candidates] for _, candidates in batch]
        return [Scores(np.array([self._value(c) for c in candidates])) for _, candidates in batch]

    def _value(self, candidate: Candidate) -> float:
        if candidate.action is None:
            return -np.inf
        return next((value for word, value in self.values.items() if word in candidate.action), 0.0)


class Failing(Preferences):
    """Raises what no critic should."""

    def score_heads(self, batch: Batch) -> list[Scores]:
        raise ZeroDivisionError("the critic is broken")
