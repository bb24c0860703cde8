"""A corridor of five fields: walk right to its end. And agents that misbehave on purpose, by task name."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from agentq.agent import Agent
from agentq.critics.base import Scores
from agentq.policies.scripted import ScriptedPolicy
from agentq.selectors.softmax import Softmax
from agentq.types import Candidate, Decision, FloatArray, Messages
from agentq_eval.running.deciders import AgentDecider, View

ACTIONS = ("left", "right", "wait")


class Corridor(gymnasium.Env[str, str]):
    """Task "t3" starts at field 3 % 3. Reward 1 at the end of the corridor."""

    action_space = gymnasium.spaces.Text(20)
    observation_space = gymnasium.spaces.Text(80)

    def __init__(self, max_steps: int | None = 8, misbehave: str = "", seconds: float = 0.0) -> None:
        self.max_steps = max_steps
        self.seconds = seconds  # that a step takes
        self.misbehave = misbehave  # "what:task"

    def provenance(self) -> dict[str, Any]:
        return {"data_hash": "corridor-1"}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.task = (options or {})["task"]
        self.place, self.steps = int(self.task.lstrip("t")) % 3, 0
        return self._seen(), self._info()

    def step(self, action: str) -> Any:
        self._mischief()
        if self.seconds:
            time.sleep(self.seconds)
        self.steps += 1
        self.place = max(self.place + {"left": -1, "right": 1}.get(action, 0), 0)
        won = self.place >= 5
        cut = not won and self.max_steps is not None and self.steps >= self.max_steps
        return self._seen(), float(won), won, cut, {**self._info(), "success": won}

    def snapshot(self) -> tuple[str, int, int]:
        return self.task, self.place, self.steps

    def restore(self, snapshot: tuple[str, int, int]) -> None:
        self.task, self.place, self.steps = snapshot

    def lookahead(self, actions: Sequence[str], gamma: float = 0.9) -> list[float]:
        left = 5 - self.place
        return [gamma ** (left + {"left": 1, "right": -1}.get(action, 0)) for action in actions]

    def _seen(self) -> str:
        return f"task {self.task}, field {self.place}, step {self.steps}"

    def _info(self) -> dict[str, Any]:
        message = {"role": "user", "content": self._seen()}
        return {"messages": (message,), "admissible_actions": list(ACTIONS), "field": self.place}

    def _mischief(self) -> None:
        what, _, task = self.misbehave.partition(":")
        if task == self.task and self.steps == 2:
            act(what)


def act(what: str) -> None:
    """Hang, die, raise, or lose the connection (the first times only, counted in a file)."""
    kind, _, path = what.partition("@")
    if kind == "hang":
        time.sleep(60)
    elif kind == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "raise":
        raise ValueError("the corridor caved in")
    elif kind == "disconnect":
        with Path(path).open("a") as file:
            file.write("x")
        if len(Path(path).read_text()) <= 2:
            raise ConnectionResetError("the server went away")


class NoisyCritic:
    """Right is better, by a value that depends on the text alone."""

    fingerprint = "noisy-critic-1"

    def score(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[FloatArray]:
        return [scores.q for scores in self.score_heads(batch)]

    def score_heads(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[Scores]:
        return [Scores(np.array([_value(messages, c) for c in some])) for messages, some in batch]


def _value(messages: Messages, candidate: Candidate) -> float:
    if candidate.action is None:
        return -np.inf
    text = f"{messages[0]['content']} {candidate.action}"
    return (candidate.action == "right") * 0.3 + sum(text.encode()) % 97 / 97


def policy(temperature: float = 1.0, misbehave: str = "", seconds: float = 0.0) -> ScriptedPolicy:
    """Draws an action; at temperature 0 always "right". ``seconds``: that a candidate takes."""
    what, _, task = misbehave.partition(":")

    def choose(messages: Messages, admissible: Any, rng: np.random.Generator) -> str:
        text = str(messages[0]["content"])
        if task and text.startswith(f"task {task},") and text.endswith("step 2"):
            act(what)
        time.sleep(seconds)
        return "right" if temperature == 0 else str(rng.choice(ACTIONS))

    return ScriptedPolicy(choose)


def agent() -> Agent:
    return Agent(policy(), Softmax(temperature=1.0), NoisyCritic(), n=4)


class Sleeper:
    """Decides nothing for a tenth of a second each time."""

    def decide(self, views: Sequence[View]) -> list[Decision]:
        time.sleep(0.1)
        return AgentDecider(agent()).decide(views)
