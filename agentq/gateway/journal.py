"""An open session on disk: one JSON line per decision and per feedback, so that a kill loses nothing answered.

A session becomes an episode of the trajectory log when it ends; until then it is a file under ``open/``. What the
log gets is always read back from that file, whether the session ended in this process or was found after a crash.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agentq.errors import LogError
from agentq.trajectories.schema import read_step, step_row
from agentq.types import Messages, Step, Trajectory

VERSION = 1


@dataclass(frozen=True, slots=True)
class Feedback:
    """A reward for a step of a session, and whether the episode ended with it."""

    session: str | None = None
    decision: str | None = None  # instead of session and step
    step: int | None = None  # from 0; None: the newest
    reward: float = 0.0  # added to the step's
    done: bool = False  # the environment ended the episode
    truncated: bool = False  # the episode was cut off
    success: bool | None = None
    info: Mapping[str, Any] = field(default_factory=dict[str, Any])


class Journal:
    """The file of one open session. Raises ``LogError`` when the disk refuses a line; the lines before stay."""

    def __init__(self, path: Path, head: Mapping[str, Any], steps: int, messages: Messages) -> None:
        self.path = path
        self.head = dict(head)
        self.steps = steps
        self._messages = messages  # of the newest step, which the next one's are written against

    @property
    def session(self) -> str:
        """The name that clients use."""
        return self.head["session"]

    @property
    def episode(self) -> str:
        """The id that the log will use."""
        return self.head["episode"]

    @classmethod
    def begin(cls, path: Path, head: Mapping[str, Any]) -> Journal:
        """A session's first line."""
        journal = cls(path, {"journal": VERSION, **head}, 0, ())
        journal._append({"row": "session", **journal.head})
        return journal

    @classmethod
    def reopen(cls, path: Path) -> Journal | None:
        """An open session of an earlier process, a torn last line cut off; None when not even its first is whole."""
        whole = _whole_bytes(path)
        if whole < path.stat().st_size:
            os.truncate(path, whole)
        rows = list(_rows(path))
        if not rows:
            return None
        if rows[0]["journal"] > VERSION:
            raise LogError(f"{path} was written by a newer AgentQ. Upgrade: pip install --upgrade agentq")
        trajectory = replay(path)
        head = {name: value for name, value in rows[0].items() if name != "row"}
        return cls(
            path, head, len(trajectory.steps), trajectory.steps[-1].messages if trajectory.steps else ()
        )

    def add_step(self, step: Step) -> int:
        """Write a decision; returns its number."""
        before = replace(step, messages=tuple(self._messages))
        pair = Trajectory(self.head["task"], 0, (before, step))
        self._append({"row": "step", "step": step_row(self.episode, 1, pair)})
        self._messages = step.messages
        self.steps += 1
        return self.steps - 1

    def add_feedback(self, step: int, feedback: Feedback) -> None:
        """Write a reward for ``step``."""
        row: dict[str, Any] = {"row": "feedback", "step": step, "reward": feedback.reward}
        row |= {"done": feedback.done, "truncated": feedback.truncated, "success": feedback.success}
        self._append({**row, "info": dict(feedback.info)})

    def _append(self, row: Mapping[str, Any]) -> None:
        data = json.dumps(dict(row), separators=(",", ":")).encode() + b"\n"
        try:
            fd = os.open(
                self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600
            )
            try:
                size = os.fstat(fd).st_size
                if os.write(fd, data) != len(data):
                    os.ftruncate(fd, size)
                    raise OSError("the disk took a part of it only")
            finally:
                os.close(fd)
        except OSError as error:
            raise LogError(f"{self.path} takes no more: {error}. Free disk space.") from error


def replay(path: Path, *, cut: bool = False) -> Trajectory:
    """The session of a journal as a trajectory; ``cut`` marks its last step as truncated unless it ended."""
    steps: list[Step] = []
    head: dict[str, Any] = {}
    for row in _rows(path):
        if row["row"] == "session":
            head = row
        elif row["row"] == "step":
            steps.append(read_step(row["step"], steps[-1].messages if steps else ()))
        else:
            steps[row["step"]] = _rewarded(steps[row["step"]], row)
    for number, step in enumerate(steps[:-1]):  # an end that more decisions followed was none
        steps[number] = replace(step, terminated=False, truncated=False)
    if steps and cut and not steps[-1].terminated:
        steps[-1] = replace(steps[-1], truncated=True)
    return Trajectory(
        task=head["task"],
        seed=0,
        steps=tuple(steps),
        environment=head["environment"],
        metadata={**head["metadata"], "session": head["session"], "started": head["started"]},
    )


def _rewarded(step: Step, row: Mapping[str, Any]) -> Step:
    info = {**step.info, **row["info"]}
    if row["success"] is not None:
        info["success"] = row["success"]
    return replace(
        step,
        reward=step.reward + row["reward"],
        terminated=step.terminated or row["done"],
        truncated=step.truncated or (row["truncated"] and not row["done"]),
        info=info,
    )


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)


def _whole_bytes(path: Path) -> int:
    """Bytes up to the last line that was written whole."""
    with path.open("rb") as file:
        return sum(len(line) for line in file if line.endswith(b"\n"))
