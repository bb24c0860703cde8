"""The evaluation harness on 10,000 episodes of an environment that costs nothing.

    python benchmarks/evaluation.py [--json] [--episodes 10000]

Measured: seconds for all episodes with two worker processes; what the harness adds to a step, against a bare loop of
the same agent and environment in one process (A/B in turns, medians); and how much the memory of the process that
schedules and logs grows from the first tenth of the episodes to the last.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from agentq.agent import Agent, decision_seed
from agentq.critics.base import Scores
from agentq.policies.scripted import ScriptedPolicy
from agentq.selectors.best_of_n import BestOfN
from agentq.types import Candidate, FloatArray, Messages
from agentq_eval.reports.figures import Figure, print_figures
from agentq_eval.running.building import build_workbench
from agentq_eval.running.deciders import AgentDecider
from agentq_eval.running.run import RunSettings, play
from agentq_eval.runs.writer import RunWriter
from agentq_eval.suites.suite import ArmSpec, EnvironmentSpec, PanelSpec, Suite

STEPS = 10  # of an episode
N = 4  # candidates per decision
ROUNDS = 5
TEXT = "A page of ordinary length, as a web shop shows it. " * 10  # about 500 characters


class Stub(gymnasium.Env[str, str]):
    """Ends after ten steps, whatever is done."""

    action_space = gymnasium.spaces.Text(20)
    observation_space = gymnasium.spaces.Text(1000)

    def __init__(self, max_steps: int | None = None) -> None:
        self.steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Begin."""
        self.steps = 0
        return TEXT, self._info()

    def step(self, action: str) -> Any:
        """Count."""
        self.steps += 1
        done = self.steps == STEPS
        return TEXT, float(done), done, False, {**self._info(), "success": done}

    def _info(self) -> dict[str, Any]:
        return {"messages": ({"role": "user", "content": f"{TEXT}{self.steps}"},)}


class Length:
    """Values an action by its length."""

    def score(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[FloatArray]:
        """(N,) per state."""
        return [scores.q for scores in self.score_heads(batch)]

    def score_heads(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[Scores]:
        """(N,) per state."""
        return [Scores(np.array([float(len(c.text)) for c in some])) for _, some in batch]


def agent() -> Agent:
    """Four candidates, the longest wins."""
    policy = ScriptedPolicy(lambda messages, admissible, rng: f"press[{rng.integers(1000)}]")
    return Agent(policy, BestOfN(), Length(), N)


def suite(episodes: int) -> Suite:
    """One arm, one task, as many seeds as episodes."""
    return Suite(
        name="stub",
        environment=EnvironmentSpec(f"{Path(__file__).stem}:Stub"),
        panel=PanelSpec(tasks=("t",)),
        arms=(ArmSpec("agent", agent=f"{Path(__file__).stem}:agent", n=(N,)),),
        seeds=tuple(range(episodes)),
    )


def bare(episodes: int) -> float:
    """Seconds of a plain loop in batches of 64, without any record."""
    decider = AgentDecider(agent())
    began = time.perf_counter()
    for start in range(0, episodes, 64):
        seeds = range(start, min(start + 64, episodes))
        envs = [Stub() for _ in seeds]
        infos = [env.reset(seed=seed)[1] for env, seed in zip(envs, seeds, strict=True)]
        for step in range(STEPS):
            decisions = decider.agent.act_batch(
                [info["messages"] for info in infos], [decision_seed("t", seed, step) for seed in seeds]
            )
            infos = [env.step(d.action)[4] for env, d in zip(envs, decisions, strict=True)]
    return time.perf_counter() - began


def harness(episodes: int, settings: RunSettings) -> float:
    """Seconds of the same through the harness, start of its workers included."""
    plan = suite(episodes)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with RunWriter(folder) as writer:
            play(plan, writer, partial(build_workbench, plan), settings)
            assert len(writer._log) == episodes  # pyright: ignore[reportPrivateUsage]
        return time.perf_counter() - began


def resident() -> float:
    """MiB of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def growth(episodes: int) -> tuple[float, float]:
    """Seconds of all episodes with two workers, and MiB that this process grew after the first tenth."""
    marks: list[float] = []

    class Watched(RunWriter):
        """Notes memory as episodes end."""

        ended = 0

        def write(self, planned: Any, trajectory: Any) -> None:
            super().write(planned, trajectory)
            Watched.ended += 1
            if Watched.ended in (episodes // 10, episodes):
                marks.append(resident())

    plan = suite(episodes)
    settings = RunSettings("process", 2, progress=False)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        with Watched(folder) as writer:
            play(plan, writer, partial(build_workbench, plan), settings)
        seconds = time.perf_counter() - began
    return seconds, marks[-1] - marks[0]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description="The evaluation harness on an environment that costs nothing."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--episodes", type=int, default=10_000)
    options = parser.parse_args()
    part = max(options.episodes // 20, 1)
    added: list[float] = []
    for turn in range(ROUNDS):
        runs = [partial(bare, part), partial(harness, part, RunSettings("thread", 1, progress=False))]
        first, second = (run() for run in (runs if turn % 2 else runs[::-1]))
        plain, full = (first, second) if turn % 2 else (second, first)
        added.append((full - plain) / (part * STEPS) * 1000)
    seconds, grown = growth(options.episodes)
    what = f"{options.episodes:,} episodes of {STEPS} steps, {N} candidates, pages of {len(TEXT)} characters"
    figures = [
        Figure("evaluation_seconds", seconds * 10_000 / options.episodes, 60.0, "lower", f"{what}, two workers"),
        Figure(
            "harness_overhead_ms_per_step", statistics.median(added), 2.0, "lower",
            f"a bare loop of the same agent and environment, {part} episodes, in turns",
        ),
        Figure("scheduler_memory_growth_mib", grown, 20.0, "lower", f"after the first tenth of {what}"),
    ]  # fmt: skip
    print_figures(figures, options.json)


if __name__ == "__main__":
    main()
