"""The critic contract: (messages, candidates) in, one value per candidate out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from agentq.types import Candidate, FloatArray, Messages


@dataclass(frozen=True, slots=True)
class Scores:
    """Values of the N candidates of one state, higher is better; -inf for invalid candidates."""

    q: FloatArray  # (N,) aggregated over heads
    head_q: FloatArray | None = None  # (K, N) one row per head
    reasons: tuple[str | None, ...] = ()  # (N,) why a candidate is -inf


@runtime_checkable
class Critic(Protocol):
    """Values candidate actions."""

    def score(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[FloatArray]:
        """One (N,) float64 array per state, never NaN. Raises ``CriticError`` on an empty list."""
        ...

    def score_heads(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[Scores]:
        """Like ``score`` with per-head values and the reasons of -inf entries."""
        ...
