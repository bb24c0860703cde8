"""One guided completion: n candidates from the upstream, their values, the choice, the record."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from agentq.chooser import Chooser
from agentq.critics.base import Scores
from agentq.critics.child_process import CriticDownError
from agentq.errors import LogError, SelectorError
from agentq.gateway.candidates import CHAT, Distinct, characters, state_of
from agentq.gateway.critic_service import CriticService
from agentq.gateway.logs import log_event
from agentq.gateway.metrics import Metrics
from agentq.gateway.overrides import Overrides
from agentq.gateway.proposing import Proposer
from agentq.gateway.sessions import Recorded, SessionLog
from agentq.gateway.settings import GatewaySettings
from agentq.gateway.upstream import Answer, Upstream
from agentq.scoring.micro_batching import QueueFullError
from agentq.selectors.base import Selector
from agentq.selectors.first import First
from agentq.types import Candidate, Decision, Messages, Step


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer and the decision behind it."""

    answer: Answer
    choice: dict[str, Any]  # as the upstream sent it, index 0
    decision: Decision
    reason: str | None  # why the critic did not choose; None: it did
    messages: Messages | None
    timings: Mapping[str, float]  # seconds: upstream, scoring, total
    n: int  # candidates, equal ones counted
    recorded: Recorded
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Guide:
    """Everything that a completion needs; one for the whole gateway."""

    settings: GatewaySettings
    proposer: Proposer
    critic: CriticService | None
    sessions: SessionLog | None
    metrics: Metrics
    disk: ThreadPoolExecutor  # one thread: what the log is written on

    @property
    def upstream(self) -> Upstream:
        """The server behind the gateway."""
        return self.proposer.upstream

    async def complete(
        self, path: str, body: Mapping[str, Any], overrides: Overrides, session: str | None
    ) -> Outcome:
        """The guided answer to a request. Raises ``UpstreamError``, ``QueueFullError`` before anything is asked."""
        if self.critic is not None:
            self.critic.batcher.check_room()
        began = time.perf_counter()
        asked, added = self._upstream_body(path, body)
        messages = state_of(path, body)
        async with self._reading_ahead(messages):
            proposed = await self.proposer.propose(path, asked, overrides.n, overrides.admissible)
        answered = time.perf_counter()
        answer, distinct = proposed.answer, proposed.distinct
        scores, reason = await self._scores(messages, distinct.candidates, proposed.reason)
        decision, reason = self._decide(
            distinct.candidates, scores, reason, overrides.selector, body.get("seed")
        )
        decision = replace(decision, flags=(*proposed.flags, *decision.flags))
        chosen = time.perf_counter()
        timings = {"upstream": answered - began, "scoring": chosen - answered, "total": chosen - began}
        self._count(distinct, len(answer.choices), timings, reason)
        recorded, logged = await self._record(overrides, session, messages, decision, timings)
        choice = dict(answer.choices[distinct.sources[decision.index]])
        choice["index"] = 0
        if added and "logprobs" in choice:
            choice["logprobs"] = None  # asked for by the gateway, not by the client
        flags = decision.flags if logged else (*decision.flags, "not_logged")
        return Outcome(
            answer, choice, decision, reason, messages, timings, len(answer.choices), recorded, flags=flags
        )

    @asynccontextmanager
    async def _reading_ahead(self, messages: Messages | None) -> AsyncIterator[None]:
        """Lets the critic read the state while the upstream samples."""
        job = None
        if self.critic is not None and messages and characters(messages) <= self.settings.max_characters:
            job = self.critic.batcher.prefill(messages)
        try:
            yield
        finally:
            if self.critic is not None:
                self.critic.batcher.drop(job)

    def _upstream_body(self, path: str, body: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
        """What is asked of the upstream, and whether log-probabilities were added to it."""
        asked = {name: value for name, value in body.items() if name not in ("stream", "stream_options", "n")}
        if self.settings.temperature is not None:
            asked["temperature"] = self.settings.temperature
        wanted = self.settings.logprobs == "always" or (
            self.settings.logprobs == "auto" and self.critic is not None and self.critic.reads_logprobs
        )
        missing = body.get("logprobs") in (None, False)
        if wanted and missing:
            asked["logprobs"] = True if path == CHAT else 1
        return asked, wanted and missing

    async def _scores(
        self, messages: Messages | None, candidates: tuple[Candidate, ...], reason: str | None
    ) -> tuple[Scores, str | None]:
        """The critic's values, or those without a critic and the reason for that (``reason``: known already)."""
        unscored = Scores(q=np.array([0.0 if c.valid else -np.inf for c in candidates]))
        if reason is not None:
            return unscored, reason
        if self.critic is None:
            return unscored, "no_critic"
        if messages is None:
            return unscored, "no_state"
        if not any(candidate.valid for candidate in candidates):
            return unscored, "no_valid"
        if characters(messages) > self.settings.max_characters:
            return unscored, "too_long"
        try:
            async with asyncio.timeout(self.settings.deadline):
                return await self.critic.batcher.score(messages, candidates), None
        except TimeoutError:
            return unscored, "deadline"
        except QueueFullError:  # filled since the request was let in; its candidates are paid for
            return unscored, "overloaded"
        except CriticDownError:
            return unscored, "critic_down"
        except Exception as error:  # noqa: BLE001 - no failure of a critic may cost the agent its answer
            said = str(error) if self.settings.log_content else None  # it may repeat a candidate's text
            log_event("critic_error", level=logging.WARNING, kind=type(error).__name__, error=said)
            return unscored, "critic_error"

    def _decide(
        self,
        candidates: tuple[Candidate, ...],
        scores: Scores,
        reason: str | None,
        selector: Selector,
        seed: Any,
    ) -> tuple[Decision, str | None]:
        if reason in (None, "no_critic"):
            number = seed if isinstance(seed, int) and seed >= 0 else secrets.randbits(31)
            chooser = Chooser(selector, on_invalid="execute")
            try:
                decision = chooser.decide(candidates, scores, number)
            except SelectorError:
                reason = "selector_error"
            else:
                flags = decision.flags if reason is None else (*decision.flags, "unguided", reason)
                return replace(decision, flags=flags), reason
        assert reason is not None
        plain = Scores(q=np.array([0.0 if c.valid else -np.inf for c in candidates]))
        decision = Chooser(First(), on_invalid="execute").decide(candidates, plain, 0)
        return replace(decision, flags=("unguided", reason)), reason

    def _count(self, distinct: Distinct, n: int, timings: Mapping[str, float], reason: str | None) -> None:
        metrics = self.metrics
        metrics.candidates.inc(n)
        metrics.duplicates.inc(n - len(distinct.candidates))
        metrics.decisions.labels("false" if reason else "true", reason or "").inc()
        for stage, seconds in timings.items():
            metrics.seconds.labels(stage).observe(seconds)

    async def _record(
        self,
        overrides: Overrides,
        session: str | None,
        messages: Messages | None,
        decision: Decision,
        timings: Mapping[str, float],
    ) -> tuple[Recorded, bool]:
        """Where the decision was put, and whether it is on disk (true without a log)."""
        unlogged = Recorded(uuid.uuid4().hex, session or "", 0)
        if self.sessions is None or messages is None:
            return unlogged, self.sessions is None
        step = Step(tuple(messages), decision, 0.0, False, False, timings=dict(timings))
        loop = asyncio.get_running_loop()
        try:
            put = await loop.run_in_executor(self.disk, self.sessions.record, session, overrides.task, step)
        except LogError:
            self.metrics.log_errors.inc()
            return unlogged, False
        return put, True
