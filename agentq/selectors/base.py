"""The selector contract: a pure function of values and candidates to probabilities and an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from agentq.types import Candidate, FloatArray


@dataclass(frozen=True, slots=True)
class Selection:
    """A selector's distribution over the N candidates and the index it chose."""

    probabilities: FloatArray  # (N,) sums to 1
    index: int
    draw: float | None  # uniform in [0, 1) consumed for the choice; None when none was needed


@runtime_checkable
class Selector(Protocol):
    """Chooses one candidate; stateless, so a logged decision can be replayed."""

    name: str

    def select(self, q: FloatArray, candidates: Sequence[Candidate], rng: np.random.Generator) -> Selection:
        """Choose one of N candidates. Raises ``SelectorError`` when none is usable."""
        ...
