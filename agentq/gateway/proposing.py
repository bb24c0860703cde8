"""The candidates of a request after the checks; where these leave none, those of a second round besides."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agentq.chooser import Chooser
from agentq.gateway.candidates import CHAT, Distinct, distinct_candidates, spoken
from agentq.gateway.logs import log_event
from agentq.gateway.metrics import Metrics
from agentq.gateway.settings import GatewaySettings
from agentq.gateway.upstream import Answer, Upstream, UpstreamError, summed_usage
from agentq.selectors.first import First
from agentq.types import Messages
from agentq.verification import ALL_REFUSED, RESAMPLE_FAILED, RESAMPLED, Verified, with_note


@dataclass(frozen=True, slots=True)
class Proposed:
    """What there is to choose among."""

    answer: Answer  # of all rounds
    distinct: Distinct  # its candidates, refused ones invalid
    flags: tuple[str, ...] = ()
    reason: str | None = None  # why nothing is to be chosen: all_refused, check_error


@dataclass(frozen=True, slots=True)
class Proposer:
    """Asks the upstream, lets the checks refuse, and asks once more where that is wanted."""

    settings: GatewaySettings
    upstream: Upstream
    metrics: Metrics
    chooser: Chooser = field(init=False)

    def __post_init__(self) -> None:
        chooser = Chooser(
            First(), on_invalid="first", checks=self.settings.loaded_checks(), resample=self.settings.resample
        )
        object.__setattr__(self, "chooser", chooser)

    async def propose(
        self, path: str, asked: Mapping[str, Any], n: int, admissible: Sequence[str] | None
    ) -> Proposed:
        """The checked candidates of ``asked``. Raises ``UpstreamError`` when the first round fails."""
        answer = await self.upstream.choices(path, asked, n)
        distinct = distinct_candidates(path, answer.choices, self.settings.actions)
        if not self.chooser.checks:
            return Proposed(answer, distinct)
        messages, flags = spoken(path, asked), ()
        try:
            # In a thread: comparing many long actions takes a while, and others wait for the loop.
            note, left = await asyncio.to_thread(self._check, messages, distinct, admissible)
            noted = None if note is None else _with_note(path, asked, note)
            if noted is not None:
                answer, flags = await self._second(path, noted, n, answer)
                distinct = distinct_candidates(path, answer.choices, self.settings.actions)
                _, left = await asyncio.to_thread(self._check, messages, distinct, admissible)
        except UpstreamError:
            raise
        except Exception as error:  # noqa: BLE001 - a check, of another package too, may not cost the agent its answer
            said = str(error) if self.settings.log_content else None  # it may repeat an action
            log_event("check_error", level=logging.WARNING, kind=type(error).__name__, error=said)
            return Proposed(answer, distinct, flags, "check_error")
        self._count(left, flags)
        checked = Distinct(tuple(left.candidates), distinct.sources)
        reason = ALL_REFUSED if ALL_REFUSED in left.flags else None
        return Proposed(answer, checked, flags, reason)

    def _check(
        self, messages: Messages, distinct: Distinct, admissible: Sequence[str] | None
    ) -> tuple[str | None, Verified]:
        note = self.chooser.note(messages, distinct.candidates, admissible)
        return note, self.chooser.verify([messages], [distinct.candidates], [admissible])[0]

    async def _second(
        self, path: str, noted: Mapping[str, Any], n: int, first: Answer
    ) -> tuple[Answer, tuple[str, ...]]:
        """Both rounds' choices and flags; a second one that fails leaves the first, which is paid for."""
        try:
            second = await self.upstream.choices(path, noted, n)
        except UpstreamError as error:
            self.metrics.upstream_errors.labels(error.kind).inc()
            return first, (RESAMPLED, RESAMPLE_FAILED)
        usage = summed_usage([first.usage, second.usage])
        return replace(first, choices=[*first.choices, *second.choices], usage=usage), (RESAMPLED,)

    def _count(self, left: Verified, flags: Sequence[str]) -> None:
        refused: Counter[str] = Counter()
        for refusal in left.refusals:
            refused[refusal.check] += refusal.count
        for check, count in refused.items():
            self.metrics.refused.labels(check).inc(count)
        if flags:
            failed = "failed" if RESAMPLE_FAILED in flags else "refused"
            self.metrics.resampled.labels(failed if ALL_REFUSED in left.flags else "helped").inc()


def _with_note(path: str, body: Mapping[str, Any], note: str) -> dict[str, Any] | None:
    """The body of a second round; None where a note has no place."""
    messages = spoken(path, body)
    if not messages:
        return None
    if path == CHAT:
        return {**body, "messages": list(with_note(messages, note))}
    return {**body, "prompt": f"{body['prompt']}\n\n{note}\n"}
