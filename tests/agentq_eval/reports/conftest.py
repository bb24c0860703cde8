"""A small run on disk: five tasks of made-up decisions, with every kind of outcome where a test asks for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentq.trajectories import TrajectoryWriter
from agentq.types import Candidate, Decision, Step, Trajectory
from agentq_eval.runs.manifest import Manifest, Planned, PlannedArm

ARMS = (
    PlannedArm("sampled", 1, "tiny", None, "first"),
    PlannedArm("greedy", 1, "tiny", None, "first"),
    PlannedArm("best_of_n", 2, "tiny", "values", "best_of_n"),
    PlannedArm("best_of_n", 4, "tiny", "values", "best_of_n", fingerprints={"critic": "c" * 64}),
    PlannedArm("oracle", 4, "tiny", None, "oracle"),
)
LEVELS = {"sampled": 0.35, "greedy": 0.45, "best_of_n": 0.65, "oracle": 0.85, "careful": 0.6, "bold": 0.5}


def manifest(
    arms: tuple[PlannedArm, ...] = ARMS, tasks: int = 20, seeds: tuple[int, ...] = (0,), **suite: Any
) -> Manifest:
    return Manifest(
        suite={"name": "stub", "gamma": 0.9, **suite},
        environment={"id": "stub-v0", "version": "1"},
        panel={"name": "stub-test", "hash": "ab" * 32},
        tasks=tuple(f"shop/{task}" for task in range(tasks)),
        seeds=seeds,
        arms=arms,
        title="A <stub> of a shop",
    )


def trajectory(planned: Planned, **metadata: Any) -> Trajectory:
    """Three decisions; Q is the true value of each candidate with noise, the last step pays."""
    rng = np.random.default_rng([sum(map(ord, planned.task)), planned.seed])
    won = bool(rng.random() < LEVELS[planned.arm] + 0.02 * planned.n)
    rng = np.random.default_rng([sum(map(ord, planned.id)), planned.seed])
    steps = [_step(planned, index, won, rng) for index in range(3)]
    about = {
        "arm": planned.arm,
        "n": planned.n,
        "outcome": "finished",
        "attempt": 1,
        "session": 0,
        **metadata,
    }
    return Trajectory(planned.task, planned.seed, tuple(steps), "stub-v0", about)


def _step(planned: Planned, index: int, won: bool, rng: np.random.Generator) -> Step:
    n, last = planned.n, index == 2
    labels = np.round(rng.random(n), 2)
    q = np.clip(labels + rng.normal(0, 0.15, n), 0, 1)
    choice = int(np.argmax(q))
    candidates = tuple(
        Candidate(
            f"Action: press {i}",
            f"press {i}",
            token_ids=(3, 4),
            token_logprobs=(-0.1, -0.4),
            count=1 + (i == 0),
        )
        for i in range(n)
    )
    return Step(
        messages=(
            {"role": "system", "content": "You press buttons."},
            {"role": "user", "content": f"Page {index}"},
        ),
        decision=Decision(candidates, q, np.eye(n)[choice], choice, selector="best_of_n"),
        reward=(1.0 if won else 0.25) if last else 0.0,
        terminated=last,
        truncated=False,
        info={"success": won} if last else {},
        timings={"decide": 0.01 * n, "env": 0.001, "tokens": 100.0 * n},
        labels=labels if planned.n > 1 else None,
    )


@dataclass
class RunFolder:
    """Writes a run; ``altered`` maps planned ids to the metadata of their attempts, None: not played."""

    plan: Manifest = field(default_factory=manifest)
    altered: Mapping[str, Sequence[Mapping[str, Any]] | None] = field(default_factory=dict[str, Any])

    def write(self, folder: Path) -> Path:
        self.plan.write(folder)
        with TrajectoryWriter(folder / "log") as writer:
            for planned in self.plan.episodes():
                attempts = self.altered.get(planned.id, [{}])
                for number, about in enumerate(attempts or [], start=1):
                    lost = about.get("outcome") == "infrastructure"
                    name = f"{planned.id}!{number}" if lost else planned.id
                    writer.write(trajectory(planned, attempt=number, **about), name)
        return folder


#: One arm's episode each: failed, timed out, lost for good, saved by the second attempt, cut, not played.
TROUBLES: dict[str, Sequence[Mapping[str, Any]] | None] = {
    "best_of_n@4|shop/0#0": [
        {"outcome": "failed", "error": "step: ValueError: no such button (press, line 3)"}
    ],
    "best_of_n@4|shop/1#0": [{"outcome": "timed_out", "error": "the episode took 9 s, its limit is 5 s"}],
    "greedy@1|shop/2#0": [{"outcome": "infrastructure", "error": "decide: ConnectionError: refused"}] * 3,
    "sampled@1|shop/3#0": [{"outcome": "infrastructure", "error": "decide: ConnectionError: refused"}, {}],
}


@pytest.fixture(scope="session")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``make_run(plan, altered)`` -> the folder of a run; defaults: every arm, nothing went wrong.

    Keywords are settings of the suite, in place of a plan.
    """

    def make(plan: Manifest | None = None, altered: Mapping[str, Any] | None = None, **suite: Any) -> Path:
        run = RunFolder(plan or manifest(**suite), altered or {})
        return run.write(tmp_path_factory.mktemp("run") / "RUN")

    return make


@pytest.fixture(scope="session")
def run_folder(make_run: Callable[..., Path]) -> Path:
    """Everything finished."""
    return make_run()


@pytest.fixture(scope="session")
def troubled_folder(make_run: Callable[..., Path]) -> Path:
    """With ``TROUBLES``."""
    return make_run(None, TROUBLES)
