"""The scheduler's side of a worker: a pipe to it, and how to get rid of it."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Protocol

from agentq_eval.running.worker import Workbench, WorkerSettings, serve


class Handle(Protocol):
    """A worker that was started."""

    connection: Connection

    def kill(self) -> None:
        """Stop it at once; what it was playing is lost."""
        ...

    def close(self) -> None:
        """Wait for it after it was told to stop."""
        ...


class ProcessHandle:
    """A worker in a process of its own. ``build`` is pickled; ``threads`` bounds its numerical libraries."""

    def __init__(self, build: Callable[[], Workbench], settings: WorkerSettings, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, build, settings), daemon=True)
        before = os.environ.get("OMP_NUM_THREADS")
        os.environ["OMP_NUM_THREADS"] = str(threads)  # read when the child imports torch
        try:
            self._process.start()
        finally:
            if before is None:
                del os.environ["OMP_NUM_THREADS"]
            else:
                os.environ["OMP_NUM_THREADS"] = before
        theirs.close()  # or the pipe would not end with the worker

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.join()
        self.connection.close()

    def close(self) -> None:
        """Wait for its end."""
        self._process.join(timeout=30)
        self.kill()


class ThreadHandle:
    """A worker in a thread of this process, for agents that exist only here.

    A call that hangs cannot be stopped: the thread is left behind with it, and a new one goes on.
    """

    def __init__(self, build: Callable[[], Workbench], settings: WorkerSettings) -> None:
        self.connection, theirs = multiprocessing.Pipe()
        self._thread = threading.Thread(
            target=serve, args=(theirs, build, replace(settings, exits=False)), daemon=True
        )
        self._thread.start()

    def kill(self) -> None:
        """Leave it behind; it ends by itself when it next touches its pipe."""
        self.connection.close()

    def close(self) -> None:
        """Wait for its end."""
        self._thread.join(timeout=30)
        self.connection.close()
