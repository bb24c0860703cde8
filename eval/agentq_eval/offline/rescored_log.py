"""The folder of a rescored log: a trajectory log, what it was made with, and the report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from agentq.errors import EvaluationError
from agentq.trajectories.reader import TrajectoryReader
from agentq.trajectories.shards import list_shards
from agentq.trajectories.writer import TrajectoryWriter
from agentq.types import Decision, Step, Trajectory

SETTINGS = "rescore.json"
REPORT = "rescore_report.json"

#: Key in ``Step.info``: the decisions that rescoring replaced, oldest first, without their candidates.
EARLIER = "earlier_decisions"


def with_decision(step: Step, decision: Decision) -> Step:
    """The step with another decision about the same candidates; the one it had is kept in its info."""
    had = step.decision
    record = {
        "q": had.q.tolist(),
        "head_q": None if had.head_q is None else had.head_q.tolist(),
        "probabilities": had.probabilities.tolist(),
        "index": int(had.index),
        "draw": had.draw,
        "selector": had.selector,
        "flags": list(had.flags),
        "support": None if had.support is None else had.support.tolist(),
        "selector_options": None if had.selector_options is None else dict(had.selector_options),
    }
    info = {**step.info, EARLIER: [*step.info.get(EARLIER, []), record]}
    return replace(step, decision=decision, info=info)


def played_decision(step: Step) -> Decision:
    """The decision whose action was executed: the step's own, or the oldest one that rescoring replaced."""
    earlier: list[dict[str, Any]] = step.info.get(EARLIER, [])
    if not earlier:
        return step.decision
    record = earlier[0]
    heads, support = record["head_q"], record.get("support")
    return Decision(
        candidates=step.decision.candidates,
        q=np.array(record["q"], dtype=np.float64),
        probabilities=np.array(record["probabilities"], dtype=np.float64),
        index=record["index"],
        draw=record["draw"],
        head_q=None if heads is None else np.array(heads, dtype=np.float64),
        selector=record["selector"],
        flags=tuple(record["flags"]),
        support=None if support is None else np.array(support, dtype=np.float64),
        selector_options=record.get("selector_options"),
    )


class RescoredLog:
    """Appends to the log in ``folder``; with None nothing is read or written.

    Raises ``EvaluationError`` when the folder holds another log or one that was made otherwise, ``LogError``
    when another process writes it.
    """

    def __init__(self, folder: Path | None, *, source: Path, about: Mapping[str, Any]) -> None:
        self.folder = folder
        self._writer: TrajectoryWriter | None = None
        self._before: TrajectoryReader | None = None  # as it was when it was opened
        if folder is None:
            return
        if folder.resolve() == source.resolve():
            raise EvaluationError(f"{folder} is the log that is read. Give --output another folder.")
        content = json.loads(json.dumps({"source": str(source.resolve()), **about}))
        self._check(folder, content)
        self._writer = TrajectoryWriter(folder)
        (folder / SETTINGS).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        self._before = TrajectoryReader(folder)

    def _check(self, folder: Path, content: Mapping[str, Any]) -> None:
        path = folder / SETTINGS
        if not path.is_file():
            if folder.is_dir() and list_shards(folder):
                raise EvaluationError(f"{folder} is a log without {SETTINGS}. Give --output an empty folder.")
            return
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise EvaluationError(f"cannot read {path}: {error}. Give --output an empty folder.") from error
        if stored != content:
            odd = [name for name in content if stored.get(name) != content[name]]
            what = "; ".join(f"{name} {stored.get(name)!r}, now {content[name]!r}" for name in odd)
            raise EvaluationError(
                f"{folder} was rescored otherwise ({what}). Give --output another folder, or the same settings."
            )

    def read(self, episode: str) -> Trajectory | None:
        """An episode that an earlier call has written."""
        if self._before is None or episode not in self._before:
            return None
        return self._before[episode]

    def add(self, episode: str, trajectory: Trajectory) -> None:
        """Append an episode unless it is there."""
        if self._writer is not None and episode not in self._writer:
            self._writer.write(trajectory, episode)

    def summarise(self, report: Mapping[str, Any]) -> None:
        """Write the report beside the log."""
        if self.folder is not None:
            text = json.dumps(report, indent=1) + "\n"
            (self.folder / REPORT).write_text(text, encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()
