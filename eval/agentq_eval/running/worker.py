"""A worker: receives jobs through a pipe, plays them in lockstep, sends back what ended."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from agentq_eval.running.deciders import Decider
from agentq_eval.running.failures import Failures
from agentq_eval.running.jobs import Beat, Broken, Ended, Facts, Hung, Job, Message, Ready
from agentq_eval.running.lockstep import Lockstep, LockstepSettings, Meter

_BEAT = 1.0  # seconds between signs of life


@dataclass(frozen=True)
class Workbench:
    """What a worker plays with: environments, the deciders by arm key, and what they really are."""

    make_env: Callable[[], Any]
    deciders: Mapping[str, Decider]
    facts: Facts
    meter: Meter | None = None


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How a worker plays."""

    lockstep: LockstepSettings
    step_seconds: float | None = None  # after which a call is given up
    infrastructure_errors: tuple[str, ...] = ()
    exits: bool = True  # whether the process ends with a call that hangs; a thread can only be left behind


def serve(connection: Connection, build: Callable[[], Workbench], settings: WorkerSettings) -> None:
    """Play until the other end says stop (``None``) or is gone."""
    _Worker(connection, settings).run(build)


class _Gone(Exception):
    """The other end of the pipe is gone, or has given this worker up."""


class _Worker:
    def __init__(self, connection: Connection, settings: WorkerSettings) -> None:
        self._connection = connection
        self._settings = settings
        self._sending = threading.Lock()
        self._finished = threading.Event()
        self._given_up = False
        self._waiting: list[Job] = []
        self._stopped = False

    def run(self, build: Callable[[], Workbench]) -> None:
        watchdog = None
        try:
            try:
                bench = build()
            except Exception as error:  # noqa: BLE001 - the scheduler raises it where the user sees it
                self._send(Broken(_portable(error)))
                return
            lockstep = Lockstep(
                bench.make_env,
                bench.deciders,
                self._settings.lockstep,
                failures=Failures(self._settings.infrastructure_errors),
                meter=bench.meter,
            )
            self._send(Ready(bench.facts))
            watchdog = threading.Thread(target=self._watch, args=(lockstep,), daemon=True)
            watchdog.start()
            for ended in lockstep.play(self._take):
                self._send(ended)
            lockstep.close()
        except _Gone:
            pass  # whoever wanted these episodes has their jobs back or no longer exists
        finally:
            self._finished.set()
            if watchdog is not None and not self._given_up:
                watchdog.join()
            self._connection.close()

    def _take(self, count: int, wait: bool) -> Sequence[Job]:
        try:
            while not self._stopped and self._connection.poll(None if wait and not self._waiting else 0):
                received = self._connection.recv()
                if received is None:
                    self._stopped = True
                else:
                    self._waiting.extend(received)
        except (EOFError, OSError) as error:
            raise _Gone from error
        if self._given_up:
            raise _Gone
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    def _send(self, message: Message) -> None:
        with self._sending:
            if self._given_up and not isinstance(message, Hung):
                raise _Gone
            try:
                self._connection.send(message)
            except (BrokenPipeError, ConnectionError, OSError) as error:
                raise _Gone from error

    def _watch(self, lockstep: Lockstep) -> None:
        """Report calls that take too long, and signs of life. Runs in a thread of its own."""
        limit = self._settings.step_seconds
        pause = _BEAT if limit is None else min(_BEAT, limit / 4)
        beaten = time.monotonic()
        while not self._finished.wait(pause):
            call = lockstep.call
            try:
                if limit is not None and call is not None and time.monotonic() - call.started > limit:
                    why = f"{call.kind}: no answer within {limit:.3g} s"
                    ended = lockstep.given_up(call.jobs[0], why) if len(call.jobs) == 1 else None
                    if lockstep.call is not call:  # it did answer, just now
                        continue
                    self._give_up(Hung(call.jobs, call.kind, ended or _unbegun(call.jobs, why)))
                    return
                if time.monotonic() - beaten >= _BEAT:
                    beaten = time.monotonic()
                    self._send(Beat())
            except _Gone:
                if self._settings.exits:
                    os._exit(3)
                return

    def _give_up(self, message: Hung) -> None:
        self._given_up = True
        try:
            self._send(message)
        finally:
            if self._settings.exits:
                os._exit(3)


def _unbegun(jobs: Sequence[Job], why: str) -> Ended | None:
    """An episode whose first call, the reset, hung."""
    from agentq.types import Trajectory

    if len(jobs) > 1:
        return None
    job = jobs[0]
    planned = job.planned
    about = {
        "arm": planned.arm, "n": planned.n, "outcome": "timed_out", "attempt": job.attempt, "error": why,
    }  # fmt: skip
    return Ended(job, Trajectory(planned.task, planned.seed, (), "", about))


def _portable(error: Exception) -> Exception:
    """The error itself where it survives a pipe, else its text."""
    import pickle

    from agentq.errors import EvaluationError

    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:  # noqa: BLE001 - pickling may raise anything
        return EvaluationError(f"a worker could not be set up: {type(error).__name__}: {error}")
