"""The check contract, and the chain that turns refused candidates into invalid ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from agentq.types import Candidate, Messages

#: Flag of a decision in whose state the checks refused every candidate that parsed.
ALL_REFUSED = "all_refused"


@dataclass(frozen=True, slots=True)
class Situation:
    """The state that candidates are checked in."""

    messages: Messages
    admissible: tuple[str, ...] | None = None  # None: not known


@runtime_checkable
class Check(Protocol):
    """Refuses actions; pure, so that the same state and candidate always get the same verdict."""

    name: str

    def reason(self, action: str, situation: Situation) -> str | None:
        """Why this action is refused here, as a sentence that a policy could read; None: it passes."""
        ...


@dataclass(frozen=True, slots=True)
class Verified:
    """Candidates after the checks, in their order, and remarks for the log."""

    candidates: Sequence[Candidate]
    flags: tuple[str, ...] = ()


def verified(
    candidates: Sequence[Candidate],
    situation: Situation,
    checks: Sequence[Check],
    *,
    put_back: bool = False,
) -> Verified:
    """Refused candidates lose their action and get the first refusing check's reason as error.

    Text, tokens and count stay, so a log still shows what was said, while critic, selector and replay see an
    invalid candidate. Where candidates had parsed and none passes, the flag "all_refused" is set, and
    ``put_back`` leaves the first of them valid.
    """
    if not checks:
        return Verified(candidates)
    left = [_verified(candidate, situation, checks) for candidate in candidates]
    parsed = [i for i, candidate in enumerate(candidates) if candidate.valid]
    if not parsed or any(candidate.valid for candidate in left):
        return Verified(left)
    if put_back:
        left[parsed[0]] = candidates[parsed[0]]
    return Verified(left, (ALL_REFUSED,))


def _verified(candidate: Candidate, situation: Situation, checks: Sequence[Check]) -> Candidate:
    if candidate.action is None:
        return candidate
    for check in checks:
        reason = check.reason(candidate.action, situation)
        if reason is not None:
            return replace(candidate, action=None, error=f"{check.name}: {reason}")
    return candidate
