"""What travels between the scheduler and its workers. Everything here can be pickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentq.types import Trajectory
from agentq_eval.runs.manifest import Planned


@dataclass(frozen=True, slots=True)
class Job:
    """An episode to play."""

    planned: Planned
    attempt: int = 1
    alone: bool = False  # its worker plays nothing else: an episode beside it hung or killed a worker

    @property
    def arm(self) -> str:
        """The arm's key, ``name@n``."""
        return f"{self.planned.arm}@{self.planned.n}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What only a worker can know of a suite: what its environment and models really are."""

    environment: Mapping[str, Any]
    panel: Mapping[str, Any]  # name, hash
    tasks: tuple[str, ...]
    strata: Mapping[str, str] = field(default_factory=dict[str, str])
    fingerprints: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker has loaded everything."""

    facts: Facts


@dataclass(frozen=True, slots=True)
class Ended:
    """An episode is over, however it ended: its metadata says."""

    job: Job
    trajectory: Trajectory


@dataclass(frozen=True, slots=True)
class Hung:
    """A call took longer than the step's time limit; the worker has stopped and its other episodes with it."""

    jobs: tuple[Job, ...]  # that the call served
    call: str  # decide, step or reset
    ended: Ended | None  # the episode as far as it went, when the call served it alone


@dataclass(frozen=True, slots=True)
class Beat:
    """The worker is alive."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The worker could not be set up; no retry would help."""

    error: BaseException


Message = Ready | Ended | Hung | Beat | Broken
