"""Preference pairs out of labelled logs: two candidates of one state, of which one is worth more."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import permutations
from math import isnan
from pathlib import Path
from typing import Any, Literal

from agentq.errors import ConfigError, TrainingError
from agentq.search.pairs import at_most, save_rows
from agentq.trajectories.reader import TrajectoryReader
from agentq.trajectories.shards import list_shards
from agentq.trajectories.transitions import Transition, transitions
from agentq.types import Candidate

#: extremes: the best candidate of a state against the worst; all: every two.
LoggedRule = Literal["extremes", "all"]


@dataclass(frozen=True, slots=True)
class LoggedPairSettings:
    """Which candidates of a logged state become a pair."""

    rule: LoggedRule = "all"
    minimum_gap: float = 0.02  # of the two labels; a pair needs more
    at_most: int = 0  # pairs in all, drawn by the seed; 0: no limit
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rule not in ("extremes", "all"):
            raise ConfigError(f"rule={self.rule!r}: expected 'extremes' or 'all'.")
        if self.minimum_gap < 0 or self.at_most < 0:
            raise ConfigError(f"minimum_gap={self.minimum_gap}, at_most={self.at_most}: expected 0 or more.")


def write_logged_pairs(
    logs: Sequence[TrajectoryReader], folder: str | Path, settings: LoggedPairSettings | None = None
) -> Any:
    """Write the pairs of labelled logs as a ``datasets`` folder and return the ``datasets.Dataset``.

    Columns and ``provenance.json`` as for trees; a candidate's label stands where a tree has the value of a node, and
    its count where a tree has visits; the names and hashes of the logs stand where trees have those of their file.
    Raises ``TrainingError`` where no state has a pair.
    """
    settings = settings or LoggedPairSettings()
    rows = [row for log in logs for step in transitions(log) for row in step_pairs(step, settings)]
    if not rows:
        raise TrainingError(
            f"{len(logs)} logs have no preference pair with {settings}. Collect with labels, or lower minimum_gap."
        )
    rows = at_most(rows, settings.at_most, settings.seed)
    about = {
        "settings": asdict(settings),
        "logs": [log.directory.name for log in logs],
        "logs_sha256": [_sha256(log.directory) for log in logs],
    }
    return save_rows(rows, folder, about)


def step_pairs(step: Transition, settings: LoggedPairSettings) -> Iterator[dict[str, Any]]:
    """Rows of one logged step: prompt, chosen, rejected, and where they are from."""
    valued = _valued(step)
    ordered = permutations(valued, 2)
    if settings.rule == "extremes" and len(valued) > 1:
        worst, *_, best = sorted(valued, key=lambda pair: pair[1])
        ordered = iter([(best, worst)])
    for (better, high), (worse, low) in ordered:
        if high - low > settings.minimum_gap:
            yield {
                "prompt": [dict(message) for message in step.messages],
                "chosen": [{"role": "assistant", "content": better.text}],
                "rejected": [{"role": "assistant", "content": worse.text}],
                "chosen_action": better.action,
                "rejected_action": worse.action,
                "task": step.task,
                "seed": step.seed,
                "depth": step.step + 1,
                "chosen_value": high,
                "rejected_value": low,
                "chosen_visits": better.count,
                "rejected_visits": worse.count,
            }


def _valued(step: Transition) -> list[tuple[Candidate, float]]:
    """The candidates that have a label, each action once."""
    found: dict[str, tuple[Candidate, float]] = {}
    if step.labels is None:
        return []
    for candidate, label in zip(step.candidates, step.labels, strict=True):
        if candidate.action is not None and not isnan(label):
            found.setdefault(candidate.action, (candidate, float(label)))
    return list(found.values())


def _sha256(log: Path) -> str:
    """SHA-256 of the shards of a log in order."""
    digest = hashlib.sha256()
    for shard in list_shards(log):
        digest.update(shard.read_bytes())
    return digest.hexdigest()
