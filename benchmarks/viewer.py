"""Opening a log of 100,000 steps in the viewer: from a cold index to the list that the page asks for.

    python benchmarks/viewer.py [--json] [--episodes 10000]

The log has episodes of 10 steps with 8 candidates and pages of about 1,000 characters. Compared with reading the same
log as trajectories, in the same run.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from agentq.trajectories.reader import TrajectoryReader
from agentq.trajectories.writer import TrajectoryWriter
from agentq.types import Candidate, Decision, Step, Trajectory
from agentq_eval.reports.figures import Figure, print_figures
from agentq_eval.viewer.sources import find_sources

STEPS, N, ROUNDS = 10, 8, 5
TEXT = "A page of ordinary length, as a web shop shows it. " * 20


def write_log(folder: Path, episodes: int) -> None:
    """Distinct episodes of equal shape."""
    rng = np.random.default_rng(0)
    candidates = tuple(
        Candidate(f"click[item {i}]", f"click[item {i}]", None, tuple(range(8)), (-0.5,) * 8)
        for i in range(N)
    )
    with TrajectoryWriter(folder) as writer:
        for number in range(episodes):
            q = rng.random(N)
            decision = Decision(
                candidates, q, np.eye(N)[q.argmax()], int(q.argmax()), head_q=np.stack([q, q])
            )
            steps = tuple(
                Step(
                    ({"role": "user", "content": f"{number} {k} {TEXT}"},),
                    decision,
                    float(k == STEPS - 1),
                    k == STEPS - 1,
                    False,
                    {"success": k == STEPS - 1},
                    {"decide": 0.1, "tokens": 100.0},
                )
                for k in range(STEPS)
            )
            about = {"arm": "best_of_n", "n": N, "outcome": "finished"}
            writer.write(Trajectory(f"task-{number}", 0, steps, "stub", about))


def opened(folder: Path, episodes: int) -> float:
    """Seconds until all rows of the list are there."""
    began = time.perf_counter()
    source = find_sources(folder)[""]
    source.about()
    assert len(source.index.rows(0)) == episodes
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Opening a log of 100,000 steps in the viewer.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--episodes", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_log(folder, options.episodes)
        size = sum(path.stat().st_size for path in folder.glob("shard-*.jsonl")) / 2**20
        seconds = [opened(folder, options.episodes) for _ in range(ROUNDS)]
        began = time.perf_counter()
        read = sum(1 for _ in zip(TrajectoryReader(folder), range(options.episodes // 10), strict=False))
        whole = (time.perf_counter() - began) * options.episodes / read
    steps = options.episodes * STEPS
    figures = [
        Figure(
            "viewer_open_seconds",
            statistics.median(seconds) * 100_000 / steps,
            2.0,
            "lower",
            f"{steps:,} steps, {size:,.0f} MiB; reading them as trajectories takes {whole:.0f} s",
        )
    ]
    print_figures(figures, options.json)


if __name__ == "__main__":
    main()
