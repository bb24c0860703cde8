"""Play episodes with one decider: what collections and tests need of ``running.lockstep``, errors let through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from agentq.types import Decision, Trajectory
from agentq_eval.running.deciders import Decider
from agentq_eval.running.jobs import Job
from agentq_eval.running.lockstep import Lockstep, LockstepSettings, Meter
from agentq_eval.runs.manifest import Planned


@dataclass(frozen=True, slots=True)
class Episode:
    """What to play: a task of the environment and a seed."""

    task: str
    seed: int


#: Called with (episode, number of the step, env, decision) before a step is taken: to keep snapshots.
Observer = Callable[[Episode, int, Any, Decision], None]


def run_episodes(
    make_env: Callable[[], Any],
    episodes: Iterable[Episode],
    decider: Decider,
    batch_size: int = 64,
    observer: Observer | None = None,
    meter: Meter | None = None,
    metadata: dict[str, Any] | None = None,
) -> Iterator[Trajectory]:
    """Play all episodes, ``batch_size`` at a time, and yield each as it ends.

    Environments are Gymnasium environments whose info holds ``messages`` (the prompt of the state) and
    optionally ``admissible_actions``. They are made once and reused.
    """
    jobs = (Job(Planned("", 1, episode.task, episode.seed)) for episode in episodes)

    def take(count: int, wait: bool) -> Sequence[Job]:
        return list(islice(jobs, count))

    def observe(job: Job, step: int, env: Any, decision: Decision) -> None:
        assert observer is not None
        observer(Episode(job.planned.task, job.planned.seed), step, env, decision)

    lockstep = Lockstep(
        make_env,
        {"@1": decider},
        LockstepSettings(batch_size, raises=True),
        observer=None if observer is None else observe,
        meter=meter,
    )
    for ended in lockstep.play(take):
        yield replace(ended.trajectory, metadata=metadata or {})
    lockstep.close()
