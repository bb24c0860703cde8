"""What a report takes from the logged steps, in one pass over the log: results, values, errors of attempts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agentq.types import Step, Trajectory
from agentq_eval.episodes import WITH_SIMULATOR, EpisodeResult
from agentq_eval.reports.settings import ArmKey, key_of
from agentq_eval.runs.manifest import Manifest
from agentq_eval.runs.reader import RunReader
from agentq_eval.runs.results import settle

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StateValues:
    """One decision: values, and what the candidates were really worth where that is known."""

    task: str
    q: Floats  # (N,)
    chosen: int
    future: float | None  # discounted return that the episode had from here; None: it did not finish
    labels: Floats | None  # (N,) exact or Monte-Carlo values, NaN: none for this candidate


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything of a run that its report needs besides the plan."""

    results: list[EpisodeResult]  # one per planned episode that has ended
    values: dict[ArmKey, list[StateValues]] = field(default_factory=dict[ArmKey, list[StateValues]])
    broken_off: tuple[EpisodeResult, ...] = ()  # attempts that infrastructure ended, with their errors


def gather(reader: RunReader, gamma: float, *, with_values: bool = True) -> Evidence:
    """Read the log of a run once; memory: one episode, and some numbers per decision of arms with a critic."""
    valued = arms_with_values(reader.manifest) if with_values else set[ArmKey]()
    values: dict[ArmKey, list[StateValues]] = {key: [] for key in valued}
    attempts: list[EpisodeResult] = []
    for result, trajectory in reader.attempts():
        attempts.append(result)
        key = key_of(result)
        if key in valued and result.outcome != "infrastructure":
            values[key].extend(state_values(trajectory, result, gamma))
    broken_off = tuple(attempt for attempt in attempts if attempt.outcome == "infrastructure")
    return Evidence(settle(attempts), values, broken_off)


def arms_with_values(plan: Manifest) -> set[ArmKey]:
    """Arms whose logged q are a critic's: elsewhere they are placeholders, or exact values (the oracle)."""
    return {
        (arm.name, arm.n)
        for arm in plan.arms
        if arm.critic is not None and arm.selector not in WITH_SIMULATOR
    }


def state_values(trajectory: Trajectory, result: EpisodeResult, gamma: float) -> Iterable[StateValues]:
    """The decisions of an episode; ``future`` is r_t + gamma r_(t+1) + ... of the rewards it really had."""
    futures = discounted(trajectory.steps, gamma)
    for step, future in zip(trajectory.steps, futures, strict=True):
        decision = step.decision
        yield StateValues(
            task=trajectory.task,
            q=decision.q,
            chosen=decision.index,
            future=future if result.outcome == "finished" else None,
            labels=step.labels,
        )


def discounted(steps: tuple[Step, ...], gamma: float) -> list[float]:
    """Discounted return from each step to the end."""
    futures: list[float] = []
    future = 0.0
    for step in reversed(steps):
        future = step.reward + gamma * future
        futures.append(future)
    return futures[::-1]
