"""Logs of a walk along a chain: three candidates per state, known values, rewards on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from agentq.agent import Agent
from agentq.critics.base import Scores
from agentq.policies.scripted import ScriptedPolicy
from agentq.selectors.registry import load_selector
from agentq.trajectories import TrajectoryWriter
from agentq.types import Candidate, FloatArray, Messages, Trajectory
from agentq_eval.rollouts import Episode, run_episodes
from agentq_eval.running.deciders import AgentDecider

STEPS = 4


class Chain:
    """Four steps; ``up`` pays 1 with the episode's luck, ``stay`` pays 0.5, ``down`` nothing."""

    spec = None

    @property
    def unwrapped(self) -> Chain:
        return self

    def reset(self, *, seed: int, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        self._step = self._height = 0
        self._luck = np.random.default_rng([seed, int(options["task"])])
        return "", self._info()

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self._step += 1
        lucky = self._luck.random() < 0.8
        self._height += int(action == "up" and lucky)
        reward = {"up": float(lucky), "stay": 0.5}.get(action, 0.0) / STEPS
        return "", reward, self._step == STEPS, False, self._info()

    def close(self) -> None:
        pass

    def _info(self) -> dict[str, Any]:
        text = f"step {self._step} height {self._height}"
        return {"messages": [{"role": "user", "content": text}], "admissible_actions": ["up", "stay", "down"]}


class Table:
    """A critic with a value per action, and a little of its own per state; K = 2 heads."""

    def __init__(self, up: float = 0.3, stay: float = 0.1, down: float = 0.0) -> None:
        self.values = {"up": up, "stay": stay, "down": down}
        self.fingerprint = f"{up}/{stay}/{down}"
        self.calls: list[int] = []  # states per call

    def score(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[FloatArray]:
        return [scores.q for scores in self.score_heads(batch)]

    def score_heads(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[Scores]:
        self.calls.append(len(batch))
        found: list[Scores] = []
        for messages, candidates in batch:
            bonus = int(messages[0]["content"][-1]) / 100
            q = np.array([self.values[c.action] + bonus if c.action else -np.inf for c in candidates])
            found.append(Scores(q, np.stack([q, q + 0.5])))
        return found


def _reply(messages: Messages, admissible: Sequence[str] | None, rng: np.random.Generator) -> str:
    return "mumble" if rng.random() < 0.1 else str(rng.choice(["up", "stay", "down"]))


#: A tenth of what it says is no action.
POLICY = ScriptedPolicy(_reply, lambda text: text if text in ("up", "stay", "down") else None)


def play(
    selector: str,
    tasks: int = 10,
    seeds: int = 1,
    n: int = 3,
    critic: Table | None = None,
    arm: str = "",
    **options: Any,
) -> list[Trajectory]:
    """Episodes of an agent with this selector."""
    agent = Agent(POLICY, load_selector(selector, **options), critic, n, on_invalid="execute")
    episodes = [Episode(str(task), seed) for task in range(tasks) for seed in range(seeds)]
    about = {"arm": arm, "n": n, "outcome": "finished"} if arm else {}
    return list(run_episodes(Chain, episodes, AgentDecider(agent), metadata=about))


def older(trajectories: Sequence[Trajectory]) -> list[Trajectory]:
    """As logs before the column ``selector_options`` have it."""
    return [
        replace(
            t,
            steps=tuple(replace(s, decision=replace(s.decision, selector_options=None)) for s in t.steps),
        )
        for t in trajectories
    ]


def write_log(folder: Path, trajectories: Sequence[Trajectory]) -> Path:
    with TrajectoryWriter(folder) as writer:
        for trajectory in trajectories:
            arm = f"{trajectory.metadata['arm']}|" if "arm" in trajectory.metadata else ""
            writer.write(trajectory, f"{arm}{trajectory.task}#{trajectory.seed}")
    return folder
