"""The values of a run's decisions as flat arrays, streamed: one episode is in memory at a time."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import numpy as np

from agentq.errors import EvaluationError
from agentq.types import Step, Trajectory
from agentq_eval.episodes import WITH_SIMULATOR, EpisodeResult
from agentq_eval.runs.manifest import Manifest
from agentq_eval.runs.reader import RunReader
from agentq_eval.value_metrics.states import Floats, Indices

ArmKey = tuple[str, int]  # arm, N


@dataclass(frozen=True, slots=True)
class ValueSamples:
    """S decisions with C candidates in all, in the order of the log."""

    tasks: tuple[str, ...]  # (S,)
    sizes: Indices  # (S,) candidates of each decision
    chosen: Indices  # (S,) index within the decision
    returns: Floats  # (S,) discounted return from here on; NaN where the episode did not finish
    q: Floats  # (C,), -inf for an invalid candidate
    labels: Floats  # (C,), NaN: not labelled

    @property
    def chosen_q(self) -> Floats:
        """Q of the chosen candidates, (S,)."""
        return self.q[np.cumsum(self.sizes) - self.sizes + self.chosen]

    @property
    def candidate_tasks(self) -> list[str]:
        """The task of every candidate, (C,)."""
        return [task for task, size in zip(self.tasks, self.sizes, strict=True) for _ in range(size)]


def run_values(reader: RunReader, gamma: float = 1.0) -> dict[ArmKey, ValueSamples]:
    """The values of all arms of a run that a critic valued, in one pass over its log."""
    return collect_values(reader.played(), arms_with_values(reader.manifest), gamma)


def arms_with_values(plan: Manifest) -> list[ArmKey]:
    """Arms whose logged q are a critic's: elsewhere they are placeholders, or exact values (the oracle)."""
    return [
        (arm.name, arm.n)
        for arm in plan.arms
        if arm.critic is not None and arm.selector not in WITH_SIMULATOR
    ]


def collect_values(
    played: Iterable[tuple[EpisodeResult, Trajectory]], arms: Collection[ArmKey], gamma: float = 1.0
) -> dict[ArmKey, ValueSamples]:
    """The values of ``arms``, a key each even without decisions; ``gamma`` discounts returns.

    Raises ``EvaluationError`` for labels that do not fit the candidates and for a ``gamma`` outside [0, 1].
    """
    if not 0 <= gamma <= 1:
        raise EvaluationError(f"gamma={gamma}: expected a discount between 0 and 1.")
    growing = {key: _Growing() for key in arms}
    for result, trajectory in played:
        found = growing.get((result.arm, result.n))
        if found is not None:
            found.add(result, trajectory, gamma)
    return {key: found.done() for key, found in growing.items()}


@dataclass(slots=True)
class _Growing:
    """Plain arrays: lists of Python numbers would take four times the memory."""

    tasks: list[str] = field(default_factory=list[str])
    sizes: array[int] = field(default_factory=lambda: array("q"))
    chosen: array[int] = field(default_factory=lambda: array("q"))
    returns: array[float] = field(default_factory=lambda: array("d"))
    q: array[float] = field(default_factory=lambda: array("d"))
    labels: array[float] = field(default_factory=lambda: array("d"))

    def add(self, result: EpisodeResult, trajectory: Trajectory, gamma: float) -> None:
        futures = _returns(trajectory.steps, gamma)
        for step, future in zip(trajectory.steps, futures, strict=True):
            decision = step.decision
            labels = np.full(len(decision.q), np.nan) if step.labels is None else step.labels
            if len(labels) != len(decision.q):
                raise EvaluationError(
                    f"task {trajectory.task!r}, seed {trajectory.seed}: {len(labels)} labels for "
                    f"{len(decision.q)} candidates, expected one each. The log is damaged."
                )
            self.tasks.append(trajectory.task)
            self.sizes.append(len(decision.q))
            self.chosen.append(decision.index)
            self.returns.append(future if result.outcome == "finished" else float("nan"))
            self.q.frombytes(np.ascontiguousarray(decision.q, dtype=np.float64).tobytes())
            self.labels.frombytes(np.ascontiguousarray(labels, dtype=np.float64).tobytes())

    def done(self) -> ValueSamples:
        return ValueSamples(
            tuple(self.tasks),
            np.array(self.sizes, dtype=np.int64),
            np.array(self.chosen, dtype=np.int64),
            np.array(self.returns, dtype=np.float64),
            np.array(self.q, dtype=np.float64),
            np.array(self.labels, dtype=np.float64),
        )


def _returns(steps: tuple[Step, ...], gamma: float) -> list[float]:
    """r_t + gamma r_(t+1) + ... of each step."""
    found: list[float] = []
    future = 0.0
    for step in reversed(steps):
        future = step.reward + gamma * future
        found.append(future)
    return found[::-1]
