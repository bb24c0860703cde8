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
class Refusal:
    """Why a candidate was refused."""

    check: str  # its name
    reason: str
    count: int  # samples that the candidate stands for


@dataclass(frozen=True, slots=True)
class Verified:
    """Candidates after the checks, in their order, and remarks for the log."""

    candidates: Sequence[Candidate]
    flags: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()  # in the order of the candidates


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
    found = [refusal_of(candidate, situation, checks) for candidate in candidates]
    left = [
        candidate
        if refusal is None
        else replace(candidate, action=None, error=f"{refusal.check}: {refusal.reason}")
        for candidate, refusal in zip(candidates, found, strict=True)
    ]
    refusals = tuple(refusal for refusal in found if refusal is not None)
    if not refusals or any(candidate.valid for candidate in left):
        return Verified(left, refusals=refusals)
    if put_back:
        first = next(i for i, candidate in enumerate(candidates) if candidate.valid)
        left[first] = candidates[first]
    return Verified(left, (ALL_REFUSED,), refusals)


def refusal_of(candidate: Candidate, situation: Situation, checks: Sequence[Check]) -> Refusal | None:
    """What the first refusing check says of a candidate; None where all pass, or where there is no action."""
    if candidate.action is None:
        return None
    for check in checks:
        reason = check.reason(candidate.action, situation)
        if reason is not None:
            return Refusal(check.name, reason, candidate.count)
    return None
