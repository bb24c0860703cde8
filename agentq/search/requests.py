"""What a search asks for: candidates of a state, or values of candidates. Whoever runs it answers, in batches."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from agentq.search.worlds import State
from agentq.types import Candidate


@dataclass(frozen=True, slots=True)
class Propose:
    """Candidates of a state; answered by ``list[Candidate]``."""

    state: State
    n: int
    seed: int
    opponent: bool = False  # replies of the other side instead (minimax)


@dataclass(frozen=True, slots=True)
class Evaluate:
    """Values of candidates in a state; answered by a float64 array (N,), -inf for invalid candidates."""

    state: State
    candidates: Sequence[Candidate]


Request: TypeAlias = Propose | Evaluate
#: Asks one thing at a time.
Asking: TypeAlias = Generator[Request, Any, None]
#: A search: yields what it can ask now, receives the answers in that order, ends when it is done.
Search: TypeAlias = Generator[list[Request], list[Any], None]
