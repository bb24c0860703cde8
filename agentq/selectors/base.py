"""The selector contract: a pure function of scores and candidates to probabilities and an index."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from agentq.critics.base import Scores
from agentq.selectors.drawing import index_of_draw, needed_draw
from agentq.types import Candidate, FloatArray


@dataclass(frozen=True, slots=True)
class Selection:
    """A selector's distribution over the N candidates and the index it chose."""

    probabilities: FloatArray  # (N,) sums to 1
    index: int
    draw: float | None  # uniform in [0, 1) consumed for the choice; None when none was needed
    flags: tuple[str, ...] = ()  # remarks on the choice, for the log


@runtime_checkable
class Selector(Protocol):
    """Chooses one candidate; stateless, so a logged decision can be replayed."""

    name: str

    def select(self, scores: Scores, candidates: Sequence[Candidate], rng: np.random.Generator) -> Selection:
        """Choose one of N candidates. Raises ``SelectorError`` when none is usable."""
        ...


class BaseSelector(ABC):
    """A selector that is its distribution: ``probabilities`` is all that a subclass must write.

    Subclasses are frozen dataclasses with a ``name`` (that of their file). Where ``draws`` is False all
    probability is on one candidate and no random number is used; else exactly one, whatever N.
    """

    name: str
    draws: bool = False

    @abstractmethod
    def probabilities(self, scores: Scores, candidates: Sequence[Candidate]) -> FloatArray:
        """The distribution, (N,). Raises ``SelectorError`` when no candidate is usable."""

    def flags(self, scores: Scores, candidates: Sequence[Candidate]) -> tuple[str, ...]:
        """Remarks on the choice that belong in the log."""
        return ()

    def select(self, scores: Scores, candidates: Sequence[Candidate], rng: np.random.Generator) -> Selection:
        """Choose one candidate. Raises ``SelectorError`` when none is usable."""
        probabilities = self.probabilities(scores, candidates)
        draw = float(rng.random()) if self.draws else None
        index = int(np.argmax(probabilities)) if draw is None else index_of_draw(probabilities, draw)
        return Selection(probabilities, index, draw, self.flags(scores, candidates))

    def replay(self, scores: Scores, candidates: Sequence[Candidate], draw: float | None) -> int:
        """The index that the logged ``draw`` chooses. Raises ``SelectorError`` when a needed one is missing."""
        probabilities = self.probabilities(scores, candidates)
        if not self.draws:
            return int(np.argmax(probabilities))
        return index_of_draw(probabilities, needed_draw(draw, self.name))
