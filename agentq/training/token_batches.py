"""Batches cut by tokens rather than rows, endless and addressable by number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from agentq.errors import TrainingError
from agentq.training.branching import token_budget_batches

B = TypeVar("B")


@dataclass
class TokenBudgetSource(Generic[B]):
    """Micro-batches of at most ``budget`` padded tokens, in a fresh order every epoch (a ``BatchSource``)."""

    lengths: Sequence[int]  # tokens of each example
    budget: int
    seed: int
    make: Callable[[list[int]], B]  # numbers of examples -> batch
    weigh: Callable[[B], float]  # units that the loss is a mean over
    identity: str  # of the examples; completed by budget and seed
    _epochs: dict[int, list[list[int]]] = field(default_factory=dict[int, list[list[int]]], init=False)
    _ends: list[int] = field(
        default_factory=list[int], init=False
    )  # micro-batches up to the end of each epoch

    def __post_init__(self) -> None:
        if not self.lengths:
            raise TrainingError(
                "there is nothing to learn: 0 examples. Check the log and what is taken from it."
            )
        self.identity += f" budget={self.budget} seed={self.seed}"

    def batch(self, index: int) -> B:
        """Micro-batch ``index``."""
        return self.make(self.indices(index))

    def weight(self, batch: B) -> float:
        """How many units the loss of ``batch`` is a mean over."""
        return self.weigh(batch)

    def describe(self, index: int) -> str:
        """The examples of a micro-batch."""
        return f"examples {', '.join(map(str, self.indices(index)[:8]))}"

    def indices(self, index: int) -> list[int]:
        """Numbers of the examples in micro-batch ``index``; epochs may differ in their number of batches."""
        while not self._ends or index >= self._ends[-1]:
            epoch = len(self._ends)
            self._ends.append((self._ends[-1] if self._ends else 0) + len(self._epoch(epoch)))
        epoch = int(np.searchsorted(self._ends, index, side="right"))
        start = self._ends[epoch - 1] if epoch else 0
        return self._epoch(epoch)[index - start]

    def _epoch(self, epoch: int) -> list[list[int]]:
        if epoch not in self._epochs:
            batches = token_budget_batches(self.lengths, self.budget, self.seed + epoch)
            before = {number: kept for number, kept in self._epochs.items() if number == epoch - 1}
            self._epochs = {**before, epoch: batches}
        return self._epochs[epoch]
