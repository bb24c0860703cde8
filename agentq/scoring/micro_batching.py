"""Continuous micro-batching: what concurrent requests want scored goes to the critic in one call.

A worker thread takes whatever waits, up to ``max_batch`` states, and scores it at once; meanwhile the next ones
gather. Nobody waits for a batch to fill, so a lone request costs what it costs alone. When nothing waits, the
thread reads states whose candidates are still being sampled (``prefill``), for critics that can.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentq.critics.base import Critic, Scores
from agentq.errors import ConfigError, CriticError, InfrastructureError

if TYPE_CHECKING:
    from agentq.types import Candidate, Messages


class QueueFullError(InfrastructureError):
    """As many states wait for the critic as may; try again after ``seconds``."""

    def __init__(self, waiting: int, seconds: float) -> None:
        super().__init__(
            f"{waiting} states wait for the critic, no more may. Try again in {seconds:.1f} s, or raise the limit."
        )
        self.seconds = seconds


@dataclass(slots=True, eq=False)
class _Entry:
    messages: Messages
    candidates: Sequence[Candidate]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Scores]


@dataclass(slots=True, eq=False)
class Prefill:
    """A state that may be read ahead."""

    messages: Messages


class MicroBatcher:
    """Scores states of many coroutines on one thread.

    ``max_batch`` states go to the critic in one call, ``limit`` may wait besides. Values equal those of a call
    per state. A state that the critic refuses fails alone: its batch is scored again one by one.
    """

    def __init__(
        self, critic: Critic, max_batch: int = 8, limit: int = 256, *, read_ahead: bool = True
    ) -> None:
        if max_batch < 1 or limit < 1:
            raise ConfigError(f"max_batch={max_batch}, limit={limit}; expected at least 1 of each.")
        self.critic = critic
        self.max_batch = max_batch
        self.limit = limit
        self.batches = 0  # calls of the critic so far
        self.states = 0  # states in them
        self.prefilled = 0  # states read ahead
        self._ahead: deque[Prefill] = deque()
        self._can_prefill = read_ahead and callable(getattr(critic, "prefill", None))
        self._waiting: deque[_Entry] = deque()
        self._condition = threading.Condition()
        self._closed = False
        self._seconds_per_state = 0.01  # running mean, for Retry-After
        self._thread = threading.Thread(target=self._work, name="agentq-critic", daemon=True)
        self._thread.start()

    @property
    def depth(self) -> int:
        """States that wait; those being scored are not counted."""
        return len(self._waiting)

    def check_room(self) -> None:
        """Raise ``QueueFullError`` when nothing more may wait."""
        waiting = len(self._waiting)
        if waiting >= self.limit:
            raise QueueFullError(waiting, max(0.1, waiting * self._seconds_per_state))

    def prefill(self, messages: Messages) -> Prefill | None:
        """Read a state ahead, the oldest first, when nothing waits to be scored; None where that cannot be.

        It is left out for critics that cannot, and beyond ``limit`` states. Under load it waits in vain and costs
        nothing. Hand the result to ``drop`` when the candidates are there, or the caller has gone.
        """
        with self._condition:
            if not self._can_prefill or self._closed or len(self._ahead) >= self.limit:
                return None
            job = Prefill(messages)
            self._ahead.append(job)
            self._condition.notify()
            return job

    def drop(self, job: Prefill | None) -> None:
        """Take back a state that is not read yet."""
        with self._condition:
            if job is not None and job in self._ahead:
                self._ahead.remove(job)

    async def score(self, messages: Messages, candidates: Sequence[Candidate]) -> Scores:
        """The scores of one state. A cancelled caller's state leaves the queue.

        Raises ``QueueFullError`` when it may not wait, ``CriticError`` after ``close``, and what the critic raises.
        """
        self.check_room()
        loop = asyncio.get_running_loop()
        entry = _Entry(messages, candidates, loop, loop.create_future())
        with self._condition:
            if self._closed:
                raise CriticError("the queue of the critic is closed: the server is stopping. Send it again.")
            self._waiting.append(entry)
            self._condition.notify()
        try:
            return await entry.future
        except asyncio.CancelledError:
            with self._condition:
                if entry in self._waiting:
                    self._waiting.remove(entry)
            raise

    def close(self) -> None:
        """Stop the thread after the batch it is at; states that wait get a ``CriticError``."""
        with self._condition:
            self._closed = True
            left = list(self._waiting)
            self._waiting.clear()
            self._ahead.clear()
            self._condition.notify()
        for entry in left:
            _hand_over(entry, CriticError("the server stopped before the critic came to it. Send it again."))
        self._thread.join(timeout=10)

    def _work(self) -> None:
        while (work := self._take()) is not None:
            if isinstance(work, Prefill):
                self._read_ahead(work)
            else:
                self._score(work)

    def _take(self) -> list[_Entry] | Prefill | None:
        with self._condition:
            while not self._waiting and not self._ahead and not self._closed:
                self._condition.wait()
            if self._closed:
                return None
            if not self._waiting:
                return self._ahead.popleft()
            return [self._waiting.popleft() for _ in range(min(self.max_batch, len(self._waiting)))]

    def _read_ahead(self, job: Prefill) -> None:
        prefill: Any = getattr(self.critic, "prefill")  # noqa: B009 - not part of the critic's contract
        try:
            prefill(job.messages)
        except Exception:  # noqa: BLE001 - the same state is scored next, and then the error has somebody to go to
            return
        self.prefilled += 1

    def _score(self, batch: Sequence[_Entry]) -> None:
        began = time.perf_counter()
        self.batches += 1
        self.states += len(batch)
        try:
            found = self.critic.score_heads([(entry.messages, entry.candidates) for entry in batch])
        except Exception as error:  # noqa: BLE001 - whatever a critic raises belongs to those who asked
            if len(batch) == 1:
                _hand_over(batch[0], error)
                return
            for entry in batch:
                self._score([entry])
            return
        seconds = (time.perf_counter() - began) / len(batch)
        self._seconds_per_state += 0.1 * (seconds - self._seconds_per_state)
        for entry, scores in zip(batch, found, strict=True):
            _hand_over(entry, scores)


def _hand_over(entry: _Entry, outcome: Scores | Exception) -> None:
    def settle() -> None:
        if entry.future.done():  # its caller has gone
            return
        if isinstance(outcome, Exception):
            entry.future.set_exception(outcome)
        else:
            entry.future.set_result(outcome)

    try:
        entry.loop.call_soon_threadsafe(settle)
    except RuntimeError:  # the loop is closed, and nobody waits any more
        return
