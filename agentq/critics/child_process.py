"""A critic in a process of its own: when that process dies, the one that asks lives on and starts another."""

from __future__ import annotations

import importlib
import multiprocessing
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Literal

from agentq.critics.base import Critic, Scores
from agentq.errors import CriticError
from agentq.types import Candidate, FloatArray, Messages

State = Literal["loading", "ready", "down", "closed"]
Batch = Sequence[tuple[Messages, Sequence[Candidate]]]
_LONGEST_WAIT = 30.0  # seconds between attempts to start a process that dies while it loads


class CriticDownError(CriticError):
    """The critic's process has died or is still loading; it comes back by itself."""


@dataclass(frozen=True)
class CriticFactory:
    """A critic as the name of a function and its arguments, which a fresh process can call."""

    function: str  # module:function
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])  # plain values

    def __call__(self) -> Critic:
        """Make the critic."""
        module, _, name = self.function.partition(":")
        return getattr(importlib.import_module(module), name)(**self.arguments)


@dataclass(frozen=True)
class Ahead:
    """A state whose candidates are still to come."""

    messages: Messages


def read_ahead(critic: Critic, messages: Messages) -> None:
    """Let a critic that can (``prefill``) read a state before its candidates are known."""
    prefill = getattr(critic, "prefill", None)
    if callable(prefill):
        prefill(messages)


class ChildCritic:
    """Scores in a child process, started anew whenever it dies; implements ``agentq.critics.base.Critic``.

    While there is none, ``score_heads`` raises ``CriticDownError`` at once. A batch that takes longer than
    ``timeout`` seconds counts as a death. One thread may score at a time. ``pid`` and ``restarts`` are for people.
    """

    def __init__(self, factory: CriticFactory, timeout: float = 60.0) -> None:
        self.factory = factory
        self.timeout = timeout
        self.restarts = 0
        self.about: dict[str, Any] = {}  # what the critic says of itself
        self.last_error = ""
        self._state: State = "loading"
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._changed = threading.Condition()
        self._keeper = threading.Thread(target=self._keep, name="agentq-critic-keeper", daemon=True)
        self._keeper.start()

    @property
    def state(self) -> State:
        """Whether it can score now."""
        return self._state

    @property
    def pid(self) -> int | None:
        """The child's process id."""
        return None if self._process is None else self._process.pid

    def wait_ready(self, seconds: float) -> None:
        """Wait until it has loaded. Raises ``CriticDownError`` with the child's reason when it does not."""
        with self._changed:
            reached = self._changed.wait_for(lambda: self._state in ("ready", "down"), seconds)
        if not reached or self._state != "ready":
            raise CriticDownError(
                f"the critic's process is not ready after {seconds:.0f} s: {self.last_error or 'it still loads'}."
            )

    def score(self, batch: Batch) -> list[FloatArray]:
        """As ``score_heads``, the values alone."""
        return [scores.q for scores in self.score_heads(batch)]

    def score_heads(self, batch: Batch) -> list[Scores]:
        """The scores of the child's critic. Raises ``CriticDownError``, and ``CriticError`` for what it refuses."""
        return self._ask([(list(messages), list(candidates)) for messages, candidates in batch])

    def _ask(self, what: Any) -> Any:
        pipe = self._pipe
        if self._state != "ready" or pipe is None:
            raise CriticDownError(f"the critic's process is {self._state}. {self.last_error}".strip())
        try:
            pipe.send(what)
            if not pipe.poll(self.timeout):
                raise TimeoutError(f"no answer in {self.timeout:.0f} s")
            kind, value = pipe.recv()
        except (OSError, EOFError) as error:  # TimeoutError is an OSError
            self._died(f"it died or hung while scoring ({type(error).__name__}: {error})")
            raise CriticDownError(
                "the critic's process died or hung; it is being started again. The request may be sent again."
            ) from error
        if kind == "error":
            raise CriticError(value)
        return value

    def prefill(self, messages: Messages) -> None:
        """Have the child read a state ahead of its candidates, where its critic can. Raises as ``score_heads``."""
        self._ask(Ahead(tuple(messages)))

    def close(self) -> None:
        """End the child."""
        with self._changed:
            self._state = "closed"
            self._changed.notify_all()
        self._end()
        self._keeper.join(timeout=10)

    def _died(self, reason: str) -> None:
        with self._changed:
            if self._state == "ready":
                self._state, self.last_error = "down", reason
                self._changed.notify_all()

    def _keep(self) -> None:
        """Start the child, wait for its death, start it again; a child that dies while loading is waited for."""
        wait = 0.5
        while self._state != "closed":
            loaded = self._start()
            if loaded:
                wait = 0.5
                self._watch()
            self._end()
            if self._state != "closed":
                self.restarts += 1
                with self._changed:
                    self._changed.wait_for(lambda: self._state == "closed", 0.0 if loaded else wait)
                wait = min(2 * wait, _LONGEST_WAIT)

    def _start(self) -> bool:
        """Whether the child has loaded its critic."""
        context = multiprocessing.get_context("spawn")
        pipe, far = context.Pipe()
        process = context.Process(target=serve_critic, args=(self.factory, far), daemon=True)
        process.start()
        far.close()
        self._pipe, self._process = pipe, process
        kind: str
        value: Any
        try:
            kind, value = pipe.recv()
        except (OSError, EOFError):
            kind, value = "error", "it died while loading"
        with self._changed:
            if self._state == "closed":
                return False
            if kind == "error":
                self._state, self.last_error = "down", str(value)
            else:
                self._state, self.about, self.last_error = "ready", value, ""
            self._changed.notify_all()
        return kind != "error"

    def _watch(self) -> None:
        """Returns when the child has ended, or when scoring said so."""
        process = self._process
        assert process is not None
        while self._state == "ready" and process.exitcode is None:
            process.join(timeout=0.2)
        self._died(f"it ended with status {process.exitcode}")

    def _end(self) -> None:
        """Kill the child. Its pipe is left to whoever reads it: it ends there, and a number freed here is reused."""
        if self._process is not None:
            self._process.kill()
            self._process.join(timeout=10)


def serve_critic(factory: CriticFactory, pipe: Connection) -> None:
    """The child: load, then answer batches until the other end of the pipe is closed."""
    try:
        critic = factory()
    except Exception as error:  # noqa: BLE001 - told to the parent, whatever it is
        pipe.send(("error", f"{type(error).__name__}: {error}"))
        return
    pipe.send(("ready", about_critic(critic)))
    while True:
        try:
            batch = pipe.recv()
        except (EOFError, OSError):  # the parent has gone
            return
        try:
            if isinstance(batch, Ahead):
                answer: tuple[str, Any] = ("done", read_ahead(critic, batch.messages))
            else:
                answer = ("scores", critic.score_heads(batch))
        except Exception as error:  # noqa: BLE001 - told to the parent, whatever it is
            answer = ("error", f"{type(error).__name__}: {error}")
        pipe.send(answer)


def about_critic(critic: Critic) -> dict[str, Any]:
    """What a log says of a critic, and whether it reads log-probabilities; plain values."""
    config = getattr(critic, "config", None)
    return {
        "class": type(critic).__name__,
        "fingerprint": getattr(critic, "fingerprint", None),
        "proposal": getattr(config, "proposal", "none"),
    }
