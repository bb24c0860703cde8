from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agentq.trajectories.writer import TrajectoryWriter
from agentq.types import Candidate, Decision, Step, Trajectory
from agentq_eval.runs.manifest import Manifest, Planned, PlannedArm

PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # noqa: E501
ARMS = (PlannedArm("sampled", 1, "p", None, "first"), PlannedArm("best", 3, "p", "c", "best_of_n"))


def trajectory(planned: Planned, outcome: str = "finished") -> Trajectory:
    """Task t3 is won by the arm "best" alone; its page has a screenshot, its texts try to be markup."""
    number = int(planned.task[1:])
    won = planned.arm == "best" and number % 3 == 0
    steps = []
    for k in range(3):
        actions = ["press <b>one</b>", "press two", None][: planned.n] if planned.n > 1 else ["press two"]
        candidates = tuple(
            Candidate(a or "???", a, None if a else "no action in it", (1, 2), (-0.5, -0.25), 1 + (i == 0))
            for i, a in enumerate(actions)
        )
        q = np.array([[0.7, 0.2, -np.inf][i] for i in range(len(actions))])
        screen = [{"type": "text", "text": "screen"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
        content = (
            screen if number == 3 and k == 1 else f"page {k} of {planned.task} <script>alert(1)</script>"
        )
        end = k == 2 and outcome == "finished"
        steps.append(
            Step(
                ({"role": "user", "content": content},),
                Decision(
                    candidates,
                    q,
                    np.eye(1, len(actions))[0],
                    0,
                    head_q=np.stack([q, q]),
                    selector="best_of_n" if planned.n > 1 else "first",
                ),
                float(won) if end else 0.0,
                end,
                False,
                {"success": won and end, "tap": [0.25, 0.5]},
                {"decide": 0.25, "tokens": 10.0, "env": 0.001},
                labels=np.linspace(1, 0, len(actions)),
            )
        )
    about = {"arm": planned.arm, "n": planned.n, "outcome": outcome, "attempt": 1}
    if outcome != "finished":
        about["error"] = "step: it broke"
    return Trajectory(planned.task, planned.seed, tuple(steps), "stub", about)


@pytest.fixture
def make_run() -> Callable[..., Path]:
    """Writes a run of 2 arms; ``played`` of its episodes have ended, the second one failed."""

    def make(folder: Path, tasks: int = 10, played: int | None = None) -> Path:
        plan = Manifest(
            {"name": "stub"}, {"id": "stub"}, {"name": "p", "hash": "0"},
            tuple(f"t{i}" for i in range(tasks)), (0,), ARMS, title="A <i>stub</i> run",
        )  # fmt: skip
        plan.write(folder)
        extend(folder, list(plan.episodes())[:played])
        return folder

    return make


@pytest.fixture
def append() -> Callable[[Path, int], None]:
    """Plays so many more tasks, numbered from 100, with the arm "best"."""
    return lambda folder, count: extend(folder, [Planned("best", 3, f"t{100 + i}", 0) for i in range(count)])


def extend(folder: Path, episodes: list[Planned]) -> None:
    with TrajectoryWriter(folder / "log") as writer:
        for planned in episodes:
            failed = (planned.arm, planned.task) == ("sampled", "t1")
            writer.write(trajectory(planned, "failed" if failed else "finished"), planned.id)
