"""Hands episodes to workers and sees that each one ends exactly once, whatever happens to a worker."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Any, cast

from agentq.errors import EvaluationError
from agentq_eval.running.handles import Handle
from agentq_eval.running.jobs import Beat, Broken, Ended, Facts, Hung, Job, Message, Ready

_SILENCE = 60.0  # seconds without a sign of life, beyond a step's limit, after which a worker counts as dead


@dataclass(frozen=True, slots=True)
class SchedulerSettings:
    """How many workers there are and what is tried again."""

    workers: int = 1
    slots: int = 64  # episodes at a time and worker
    retries: int = 2  # of an episode that infrastructure broke off
    retry_wait: float = 1.0  # seconds before the first retry; four times as long before each next one
    step_seconds: float | None = None  # the workers' own limit of a call
    deaths: int = 20  # of workers, after which the run stops and asks to be looked at


@dataclass
class _Worker:
    handle: Handle
    ready: bool = False
    active: dict[str, Job] = field(default_factory=dict[str, Job])  # by episode id
    heard: float = field(default_factory=time.monotonic)


class Scheduler:
    """Starts workers with ``start`` and plays jobs on them.

    ``record`` receives every ended episode, also one that infrastructure broke off and that is tried again;
    ``note`` receives what happened to workers, as JSON.
    """

    def __init__(
        self,
        start: Callable[[], Handle],
        settings: SchedulerSettings,
        record: Callable[[Ended], None],
        note: Callable[[dict[str, Any]], None] = lambda event: None,
    ) -> None:
        self._start = start
        self._settings = settings
        self._record = record
        self._note = note
        self._workers: list[_Worker] = []
        self._queue: deque[Job] = deque()
        self._later: list[tuple[float, int, Job]] = []  # heap of (when, order, job)
        self._tries: dict[str, int] = {}  # retries used in this session
        self._deaths = 0
        self._order = 0

    def facts(self) -> Facts:
        """Start the first worker and return what it found. Raises what kept it from being set up."""
        worker = self._hire()
        while True:
            message = self._receive(worker)
            if isinstance(message, Ready):
                worker.ready = True
                self._facts = message.facts
                return message.facts
            if message is None:
                raise EvaluationError(
                    "a worker died before it had loaded environment and models; its own output says why "
                    "(often: out of memory). Try --workers 1, or a smaller model."
                )

    def run(self, jobs: Iterable[Job]) -> None:
        """Play all jobs. Raises ``EvaluationError`` when workers keep dying; what has ended is recorded."""
        self._queue.extend(jobs)
        wanted = min(self._settings.workers, len(self._queue))
        try:
            while len(self._workers) < wanted:
                self._hire()
            while self._queue or self._later or any(worker.active for worker in self._workers):
                self._bring_back()
                self._hand_out()
                self._listen()
        finally:
            self.close()

    def close(self) -> None:
        """Tell the workers to stop, and stop those that do not."""
        for worker in self._workers:
            try:
                if not worker.active:
                    worker.handle.connection.send(None)
                    worker.handle.close()
                    continue
            except OSError:
                pass
            worker.handle.kill()
        self._workers.clear()

    def _hire(self) -> _Worker:
        worker = _Worker(self._start())
        self._workers.append(worker)
        return worker

    def _bring_back(self) -> None:
        while self._later and self._later[0][0] <= time.monotonic():
            self._queue.append(heapq.heappop(self._later)[2])

    def _hand_out(self) -> None:
        """Fill the workers: no more at once than a fair share, and an episode that plays alone really alone."""
        ready = [worker for worker in self._workers if worker.ready]
        waiting = len(self._queue) + sum(len(worker.active) for worker in ready)
        share = min(self._settings.slots, -(-waiting // max(len(self._workers), 1)))
        for worker in ready:
            jobs: list[Job] = []
            while self._queue and self._may_take(worker, self._queue[0], share):
                job = self._queue.popleft()
                worker.active[job.planned.id] = job
                jobs.append(job)
            if jobs:
                try:
                    worker.handle.connection.send(jobs)
                except OSError:
                    self._died(worker)

    def _may_take(self, worker: _Worker, job: Job, share: int) -> bool:
        if job.alone or any(other.alone for other in worker.active.values()):
            return not worker.active
        return len(worker.active) < share

    def _listen(self) -> None:
        due = self._later[0][0] - time.monotonic() if self._later else 1.0
        by_connection = {worker.handle.connection: worker for worker in self._workers}
        for connection in wait(list(by_connection), timeout=min(max(due, 0.0), 1.0)):
            worker = by_connection[cast("Connection[Any, Any]", connection)]
            # Everything that has arrived, so that the worker is filled up in one go.
            while worker in self._workers and worker.handle.connection.poll():
                self._handle(worker, self._receive(worker))
        limit = _SILENCE + (self._settings.step_seconds or 0.0)
        for worker in list(self._workers):
            if worker.ready and worker.active and time.monotonic() - worker.heard > limit:
                self._died(worker)

    def _receive(self, worker: _Worker) -> Message | None:
        """The next message; None when the worker is gone."""
        try:
            message: Message = worker.handle.connection.recv()
        except (EOFError, OSError):
            return None
        worker.heard = time.monotonic()
        if isinstance(message, Broken):
            raise message.error
        return message

    def _handle(self, worker: _Worker, message: Message | None) -> None:
        if message is None:
            self._died(worker)
        elif isinstance(message, Ready):
            self._check(message.facts)
            worker.ready = True
        elif isinstance(message, Ended):
            self._ended(worker, message)
        elif isinstance(message, Hung):
            self._hung(worker, message)
        else:
            assert isinstance(message, Beat)

    def _check(self, facts: Facts) -> None:
        if facts != self._facts:
            raise EvaluationError(
                f"two workers disagree on what is evaluated: {facts} and {self._facts}. Give all of them the "
                "same data, models and package versions."
            )

    def _ended(self, worker: _Worker, ended: Ended) -> None:
        identity = ended.job.planned.id
        del worker.active[identity]
        self._record(ended)
        if ended.trajectory.metadata["outcome"] != "infrastructure":
            return
        tried = self._tries.get(identity, 0)
        if tried < self._settings.retries:
            self._tries[identity] = tried + 1
            self._order += 1
            due = time.monotonic() + self._settings.retry_wait * 4**tried
            again = replace(ended.job, attempt=ended.job.attempt + 1)
            heapq.heappush(self._later, (due, self._order, again))

    def _hung(self, worker: _Worker, hung: Hung) -> None:
        """The episode whose call hung has timed out; of a batch, each is played again alone to find it."""
        names = {job.planned.id for job in hung.jobs}
        self._note({"event": "hung", "call": hung.call, "episodes": sorted(names)})
        if hung.ended is not None:
            self._ended(worker, hung.ended)
        self._queue.extendleft(
            replace(job, alone=job.alone or job.planned.id in names) for job in worker.active.values()
        )
        self._replace(worker)

    def _died(self, worker: _Worker) -> None:
        """Nobody knows which episode killed it: each is played again alone, and blamed if it dies alone."""
        active = list(worker.active.values())
        self._note({"event": "worker died", "episodes": sorted(worker.active)})
        self._deaths += 1
        for job in active:
            if job.alone or len(active) == 1:
                self._ended(worker, _lost(job))
            else:
                self._queue.appendleft(replace(job, alone=True))
        if self._deaths > self._settings.deaths or not worker.ready:
            self._workers.remove(worker)
            worker.handle.kill()
            raise EvaluationError(
                f"workers died {self._deaths} times, the last one with {len(active)} episodes. What has ended "
                "is in the log. Look at memory and the environment's own output, then run the same command "
                "again: it goes on where it stopped."
            )
        self._replace(worker)

    def _replace(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.handle.kill()
        self._hire()


def _lost(job: Job) -> Ended:
    from agentq.types import Trajectory

    planned = job.planned
    about = {
        "arm": planned.arm,
        "n": planned.n,
        "outcome": "infrastructure",
        "attempt": job.attempt,
        "error": "its worker died (killed, out of memory, or a crash outside Python)",
    }
    return Ended(job, Trajectory(planned.task, planned.seed, (), "", about))
