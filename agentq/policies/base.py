"""The policy contract: messages in, candidate actions out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from agentq.types import Candidate, Messages


@runtime_checkable
class Policy(Protocol):
    """Proposes candidate actions; all configuration except n and the seeds is fixed at construction."""

    def propose(
        self,
        batch: Sequence[Messages],
        n: int,
        seeds: Sequence[int],
        admissible: Sequence[Sequence[str] | None] | None = None,
    ) -> list[list[Candidate]]:
        """Sample ``n`` candidates per state, deduplicated by action (``Candidate.count`` sums to n).

        ``seeds`` holds one integer per state: the candidates of a state depend on its messages and
        seed alone, never on what else is in the batch. ``admissible`` optionally holds the actions
        allowed in each state (None: free text); a policy that restricts itself samples only those.
        Raises ``CandidateError`` for n < 1 or lengths that differ.
        """
        ...
