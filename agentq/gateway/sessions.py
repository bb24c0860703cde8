"""Sessions: the decisions that belong to one episode, rewarded by feedback and written to the trajectory log."""

from __future__ import annotations

import hashlib
import time
import uuid
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from agentq.errors import DataError
from agentq.gateway.journal import Feedback, Journal, replay
from agentq.trajectories.writer import TrajectoryWriter
from agentq.types import Step

End = Literal["done", "truncated", "idle", "crowded"]


class UnknownSessionError(DataError):
    """Feedback names a session, decision or step that is not open."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Where a decision was put."""

    decision: str  # its id, for feedback
    session: str
    step: int


@dataclass(frozen=True, slots=True)
class Rewarded:
    """What feedback did."""

    session: str
    episode: str  # id in the log
    step: int
    closed: bool  # the session ended and is in the log

    def content(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"session": self.session, "episode": self.episode, "step": self.step, "closed": self.closed}


class SessionLog:
    """The open sessions of a log folder; used by one thread at a time.

    Sessions of an earlier process are open again. ``closed`` counts episodes by how they ended. Raises
    ``LogError`` when another process writes the log, or the disk refuses.
    """

    def __init__(
        self,
        directory: Path,
        *,
        idle: float,
        most: int,
        environment: str = "gateway",
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.idle, self.most = idle, most
        self.environment, self.metadata = environment, dict(metadata or {})
        self.closed: dict[End, int] = {"done": 0, "truncated": 0, "idle": 0, "crowded": 0}
        self._writer = TrajectoryWriter(directory)
        self._folder = directory / "open"
        self._folder.mkdir(exist_ok=True)
        self._open: OrderedDict[str, Journal] = OrderedDict()  # by session; the quietest first
        self._touched: dict[str, float] = {}  # session -> time.time()
        self._recover()

    def __len__(self) -> int:
        return len(self._open)

    def record(self, session: str | None, task: str | None, step: Step) -> Recorded:
        """Write a decision to its session, which begins with it when it is new (None: one of its own)."""
        name = uuid.uuid4().hex if session is None else session
        journal = self._open.get(name) or self._begin(name, task or name)
        number = journal.add_step(step)
        self._touch(name)
        while len(self._open) > self.most:
            self._close(next(iter(self._open)), "crowded")
        return Recorded(f"{journal.path.stem}-{number}", name, number)

    def feedback(self, feedback: Feedback) -> Rewarded:
        """Reward a step; ``done`` or ``truncated`` ends the session. Raises ``UnknownSessionError``."""
        name, number = self._place(feedback)
        journal = self._open[name]
        if not 0 <= number < journal.steps:
            raise UnknownSessionError(
                f"session {name!r} has {journal.steps} steps, so there is no step {number}. Count from 0."
            )
        journal.add_feedback(number, feedback)
        ended = feedback.done or feedback.truncated
        if ended:
            self._close(name, "done" if feedback.done else "truncated")
        else:
            self._touch(name)
        return Rewarded(name, journal.episode, number, ended)

    def close_idle(self) -> int:
        """End the sessions that were quiet for too long; returns how many."""
        before = time.time() - self.idle
        quiet = [name for name in self._open if self._touched[name] < before]
        for name in quiet:
            self._close(name, "idle")
        return len(quiet)

    def close(self) -> None:
        """Release the log. Open sessions stay open: the next gateway on this folder goes on with them."""
        self._writer.close()

    def _begin(self, name: str, task: str) -> Journal:
        taken = {journal.episode for journal in self._open.values()}
        episode, number = name, 1
        while episode in self._writer or episode in taken:
            number += 1
            episode = f"{name}~{number}"
        head = {"session": name, "episode": episode, "task": task, "environment": self.environment}
        head |= {"started": time.time(), "metadata": self.metadata}
        key = hashlib.sha256(episode.encode(errors="surrogatepass")).hexdigest()[:24]
        journal = self._open[name] = Journal.begin(self._folder / f"{key}.jsonl", head)
        return journal

    def _touch(self, name: str) -> None:
        self._touched[name] = time.time()
        self._open.move_to_end(name)

    def _place(self, feedback: Feedback) -> tuple[str, int]:
        if feedback.decision is not None:
            key, _, number = feedback.decision.rpartition("-")
            for name, journal in self._open.items():
                if journal.path.stem == key and number.isdigit():
                    return name, int(number)
            raise UnknownSessionError(
                f"decision {feedback.decision!r} belongs to no open session: it ended, was idle for too long, or the "
                "id is of another gateway."
            )
        name = feedback.session or ""
        if name not in self._open:
            raise UnknownSessionError(
                f"session {name!r} is not open: no decision was logged under that name since it last ended."
            )
        step = feedback.step
        return name, self._open[name].steps - 1 if step is None else step

    def _close(self, name: str, end: End) -> None:
        journal = self._open[name]
        if journal.steps:
            self._writer.write(replay(journal.path, cut=end != "done"), journal.episode)
        journal.path.unlink()  # only now: a crash in between leaves both, and the log's copy counts
        del self._open[name], self._touched[name]
        self.closed[end] += 1

    def _recover(self) -> None:
        found = [(path.stat().st_mtime, path) for path in self._folder.glob("*.jsonl")]
        for changed, path in sorted(found):
            journal = Journal.reopen(path)
            if journal is None or journal.episode in self._writer:
                path.unlink()
                if journal is None:
                    warnings.warn(f"{path.name}: a session without a whole line was dropped", stacklevel=3)
                continue
            self._open[journal.session] = journal
            self._touched[journal.session] = changed
