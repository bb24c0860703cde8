"""Write a run: its plan once, every ended episode durably, one line per start. One process at a time."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from agentq.errors import EvaluationError
from agentq.provenance import collect_provenance
from agentq.trajectories.writer import TrajectoryWriter
from agentq.types import Trajectory
from agentq_eval.runs.manifest import FILE, Manifest, Planned, read_manifest
from agentq_eval.runs.reader import LOG

SESSIONS = "sessions.jsonl"


class RunWriter:
    """Opens the run in ``folder`` for writing, new or to be continued; ``begin`` must follow.

    Raises ``LogError`` when another process writes it, or it comes from a newer version.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._log = TrajectoryWriter(self.folder / LOG)
        self.session = sum(event.get("event") == "start" for event in read_sessions(self.folder))

    def begin(self, manifest: Manifest) -> None:
        """Store the plan, or check that it is the one that this folder was begun with.

        Raises ``EvaluationError`` naming what differs.
        """
        if (self.folder / FILE).exists():
            differences = read_manifest(self.folder).differences(manifest)
            if differences:
                listed = "\n  ".join(differences)
                raise EvaluationError(
                    f"{self.folder} holds another evaluation (there != now):\n  {listed}\n"
                    "Choose another --output, or go back to the settings, data and models of that run."
                )
        elif len(self._log):
            raise EvaluationError(
                f"{self.folder} has {len(self._log)} logged episodes but no {FILE}. Restore it, or choose "
                "another --output."
            )
        else:
            manifest.write(self.folder)
        self.note({"event": "start", "done": self.done(manifest), "provenance": collect_provenance()})

    def __contains__(self, planned: Planned) -> bool:
        """Whether the episode has ended for good."""
        return planned.id in self._log

    def attempts(self, planned: Planned) -> int:
        """How often infrastructure has broken the episode off so far."""
        count = 0
        while f"{planned.id}!{count + 1}" in self._log:
            count += 1
        return count

    def done(self, manifest: Manifest) -> int:
        """How many planned episodes have ended for good."""
        return sum(planned in self for planned in manifest.episodes())

    def write(self, planned: Planned, trajectory: Trajectory) -> None:
        """Append an ended episode. Raises ``LogError`` when the disk refuses it; the log stays whole."""
        lost = trajectory.metadata["outcome"] == "infrastructure"
        name = f"{planned.id}!{self.attempts(planned) + 1}" if lost else planned.id
        self._log.write(trajectory, episode=name)

    def note(self, event: Mapping[str, Any]) -> None:
        """Append a line to ``sessions.jsonl``; the time of day is for people, nothing is computed from it."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        line = json.dumps({"session": self.session, "time": now, **event}) + "\n"
        try:
            with (self.folder / SESSIONS).open("a", encoding="utf-8") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise EvaluationError(
                f"could not write {self.folder / SESSIONS}: {error}. Free disk space and run again: the "
                "evaluation goes on where it stopped."
            ) from error

    def close(self) -> None:
        """Release the lock; closing twice is fine."""
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_sessions(folder: Path) -> list[dict[str, Any]]:
    """The events of ``sessions.jsonl`` in order; a line that a kill cut short is left out."""
    try:
        lines = (folder / SESSIONS).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    events: list[dict[str, Any]] = []
    for line in lines:
        try:
            events.append(json.loads(line))
        except ValueError:
            continue
    return events
