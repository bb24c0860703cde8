"""A worker as a Ray actor: the same loop as a process, reached through a pipe that a thread keeps filled."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agentq.errors import MissingExtraError
from agentq_eval.running.jobs import Job, Message
from agentq_eval.running.worker import Workbench, WorkerSettings, serve

_POLL = 0.2  # seconds that an actor waits for something to say


class RayHandle:
    """A worker on a Ray cluster; ``ray.init()`` is called where the program has not.

    Raises ``MissingExtraError`` without ray. An actor that dies closes the pipe, as a process would.
    """

    def __init__(self, build: Callable[[], Workbench], settings: WorkerSettings, cpus: float = 1.0) -> None:
        try:
            ray: Any = importlib.import_module("ray")
        except ImportError as error:
            raise MissingExtraError(
                'the runner "ray" needs ray, which is not installed. Run: pip install "agentq[ray]"'
            ) from error
        if not ray.is_initialized():
            ray.init(log_to_driver=False, include_dashboard=False)
        self.connection, self._theirs = multiprocessing.Pipe()
        remote: Any = ray.remote(_Actor)
        self._actor = remote.options(num_cpus=cpus, max_concurrency=3, max_restarts=0).remote(
            build, replace(settings, exits=False)
        )
        self._ended = threading.Event()
        for pump in (self._pump_out, self._pump_in):
            threading.Thread(target=pump, daemon=True).start()

    def kill(self) -> None:
        """End the actor's process."""
        ray: Any = importlib.import_module("ray")
        self._ended.set()
        with contextlib.suppress(Exception):  # it may be gone already
            ray.kill(self._actor)
        self.connection.close()

    def close(self) -> None:
        """Wait for its end."""
        self._ended.wait(timeout=30)
        self.kill()

    def _pump_out(self) -> None:
        """From the actor to the scheduler."""
        ray: Any = importlib.import_module("ray")
        try:
            while True:
                messages: Any = ray.get(self._actor.receive.remote())
                if messages is None:
                    break
                for message in messages:
                    self._theirs.send(message)
        except (ray.exceptions.RayError, OSError):
            pass  # the scheduler sees the closed pipe
        self._ended.set()
        self._theirs.close()

    def _pump_in(self) -> None:
        """From the scheduler to the actor."""
        ray: Any = importlib.import_module("ray")
        try:
            while not self._ended.is_set():
                if self._theirs.poll(_POLL):
                    ray.get(self._actor.send.remote(self._theirs.recv()))
        except (EOFError, OSError, ray.exceptions.RayError):
            pass


class _Actor:
    """Runs ``serve`` in a thread; ``receive`` and ``send`` are the two directions of its pipe."""

    def __init__(self, build: Callable[[], Workbench], settings: WorkerSettings) -> None:
        self._connection, theirs = multiprocessing.Pipe()
        threading.Thread(target=serve, args=(theirs, build, settings), daemon=True).start()

    def receive(self) -> list[Message] | None:
        """What has arrived since the last call; None after the end."""
        messages: list[Message] = []
        try:
            if self._connection.poll(_POLL):
                messages.append(self._connection.recv())
            while messages and self._connection.poll():
                messages.append(self._connection.recv())
        except (EOFError, OSError):
            return messages or None
        return messages

    def send(self, jobs: list[Job] | None) -> None:
        """Jobs, or None to stop."""
        with contextlib.suppress(OSError):
            self._connection.send(jobs)
