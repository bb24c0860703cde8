"""What a path holds: one run, a bare trajectory log, or a folder with several of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentq.errors import EvaluationError
from agentq.trajectories.shards import list_shards
from agentq.types import Candidate, Step, Trajectory
from agentq_eval.runs.manifest import FILE, Manifest, read_manifest
from agentq_eval.runs.reader import LOG
from agentq_eval.viewer.index import LogIndex

_DEPTH = 4  # folders deep that runs are looked for
PAGES = ("report.html", "gain.png", "curve.png")  # of a run, served beside the app


@dataclass
class Source:
    """A run or a log under its name; "" when it is all that the path holds."""

    name: str
    folder: Path
    plan: Manifest | None
    index: LogIndex

    def about(self) -> dict[str, Any]:
        """What the list shows of it."""
        self.index.refresh()
        return {
            "name": self.name,
            "title": (self.plan.title if self.plan else "") or self.folder.name,
            "planned": self.plan.planned if self.plan else None,
            "arms": [arm.key for arm in self.plan.arms] if self.plan else [],
            "episodes": len(self.index.entries),
            "report": (self.folder / PAGES[0]).exists(),
            "notices": self.index.notices(),
        }


def find_sources(path: Path) -> dict[str, Source]:
    """Runs and logs by name. Raises ``EvaluationError`` when there are none."""
    found: dict[str, Source] = {}
    if source := _source("", path):
        return {"": source}
    for folder in sorted(_folders(path, _DEPTH)):
        name = folder.relative_to(path).as_posix()
        if source := _source(name, folder):
            found[name] = source
    if not found:
        raise EvaluationError(
            f"{path} holds neither a run (run.json) nor a trajectory log (shard-00000.jsonl). Give the --output "
            "of `agentq eval`, a folder of such runs, or a log."
        )
    return found


def _source(name: str, folder: Path) -> Source | None:
    if (folder / FILE).is_file():
        return Source(name, folder, read_manifest(folder), LogIndex(folder / LOG))
    if folder.is_dir() and list_shards(folder):
        return Source(name, folder, None, LogIndex(folder))
    return None


def _folders(path: Path, depth: int) -> list[Path]:
    """Folders under ``path``; those inside a run are the run's own."""
    if not path.is_dir() or not depth:
        return []
    below = [child for child in path.iterdir() if child.is_dir() and not child.name.startswith(".")]
    return [
        *below,
        *(inner for child in below if not (child / FILE).exists() for inner in _folders(child, depth - 1)),
    ]


def plain(trajectory: Trajectory) -> dict[str, Any]:
    """An episode as JSON for the page; numbers that JSON has not are texts."""
    return {
        "task": trajectory.task,
        "seed": trajectory.seed,
        "environment": trajectory.environment,
        "metadata": _json(trajectory.metadata),
        "score": _number(trajectory.score),
        "success": trajectory.success,
        "steps": [_step(step) for step in trajectory.steps],
    }


def _step(step: Step) -> dict[str, Any]:
    decision = step.decision
    heads = decision.head_q
    return {
        "messages": _json(list(step.messages)),
        "index": decision.index,
        "selector": decision.selector,
        "draw": decision.draw,
        "flags": list(decision.flags),
        "candidates": [
            {
                **_candidate(candidate),
                "q": _number(decision.q[i]),
                "heads": [] if heads is None else [_number(row[i]) for row in heads],
                "probability": _number(decision.probabilities[i]),
                "label": None if step.labels is None else _number(step.labels[i]),
            }
            for i, candidate in enumerate(decision.candidates)
        ],
        "reward": _number(step.reward),
        "terminated": step.terminated,
        "truncated": step.truncated,
        "info": _json(dict(step.info)),
        "timings": _json(dict(step.timings)),
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "text": candidate.text,
        "action": candidate.action,
        "error": candidate.error,
        "count": candidate.count,
        "logprob": candidate.logprob,
        "tokens": len(candidate.token_ids),
    }


def _number(value: Any) -> float | str:
    number = float(value)
    return number if number == number and abs(number) != float("inf") else str(number)


def _json(value: Any) -> Any:
    """NaN and infinity inside as texts."""
    return json.loads(json.dumps(value, default=str), parse_constant=str)
