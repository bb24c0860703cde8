"""The critic contract: (messages, candidates) in, one value per candidate out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from agentq.types import Candidate, Decision, FloatArray, Messages


@dataclass(frozen=True, slots=True)
class Scores:
    """What a critic knows about the N candidates of one state; all that a selector sees besides them.

    ``support`` is the distance to the nearest logged (state, action) in units of the radius within which most
    held-out logged steps have a neighbour: up to 1 is familiar, inf for an invalid candidate.
    """

    q: FloatArray  # (N,) aggregated over heads, higher is better; -inf for invalid candidates
    head_q: FloatArray | None = None  # (K, N) one row per head
    reasons: tuple[str | None, ...] = ()  # (N,) why a candidate is -inf
    support: FloatArray | None = None  # (N,) None: unknown

    @classmethod
    def of(cls, decision: Decision) -> Scores:
        """The scores that a logged decision was made from."""
        reasons = tuple(candidate.error for candidate in decision.candidates)
        return cls(decision.q, decision.head_q, reasons, decision.support)


@runtime_checkable
class Critic(Protocol):
    """Values candidate actions."""

    def score(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[FloatArray]:
        """One (N,) float64 array per state, never NaN. Raises ``CriticError`` on an empty list."""
        ...

    def score_heads(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[Scores]:
        """Like ``score`` with per-head values and the reasons of -inf entries."""
        ...
