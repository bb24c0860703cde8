"""Labels of somebody who sees no more than the agent: looking for a thing is worth something."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agentq.agent import Agent
from agentq.errors import ConfigError
from agentq.policies.scripted import ScriptedPolicy
from agentq.selectors.sample import OneSample
from agentq.trajectories.reader import TrajectoryReader
from agentq.trajectories.writer import TrajectoryWriter
from agentq_envs.alfworld.env import AlfworldEnv
from agentq_envs.continuations import ContinuationSettings, continuation_returns
from agentq_envs.webshop import WebShopEnv
from agentq_eval.collection import LabelSettings, collect
from agentq_eval.rollouts import Episode
from agentq_eval.running.deciders import AgentDecider


def test_a_careful_player_plays_on(env: AlfworldEnv, tmp_path: Path) -> None:
    task = env.panel("embedded-train").tasks[3]
    tried = ["look", "go to cabinet 1", "go to drawer 3", "open drawer 3"]
    policy = ScriptedPolicy(lambda messages, actions, rng: str(rng.choice(tried)))
    decider = AgentDecider(Agent(policy, OneSample(), n=4, on_invalid="execute"))
    with TrajectoryWriter(tmp_path) as writer:
        collect(
            lambda: AlfworldEnv(max_steps=30),
            [Episode(task, 0)],
            decider,
            writer,
            LabelSettings("player", gamma=0.9),
        )
    (episode,) = TrajectoryReader(tmp_path)
    fresh = AlfworldEnv(max_steps=30)
    fresh.reset(seed=0, options={"task": task})
    for step in episode.trajectory.steps:
        actions = [str(candidate.action) for candidate in step.decision.candidates]
        played = ContinuationSettings(1, 0.9, 200)
        expected = continuation_returns(fresh, actions, lambda e, _: e.player_action(), 0, played)
        assert step.labels is not None
        np.testing.assert_allclose(step.labels, expected)
        fresh.step(step.decision.action)


def test_it_knows_nothing_that_is_hidden(env: AlfworldEnv) -> None:
    """The expert walks to the thing at once; the player has to look, so it needs more steps."""
    steps: dict[str, int] = {"player": 0, "expert": 0}
    for task in env.panel("embedded-train").tasks[:10]:
        for name in steps:
            _, info = env.reset(seed=0, options={"task": task})
            ended = False
            while not ended:
                _, _, terminated, truncated, info = env.step(getattr(env, f"{name}_action")())
                ended = terminated or truncated
            assert info["success"]
            steps[name] += env.steps
    assert steps["player"] > 1.1 * steps["expert"]


def test_an_environment_without_a_player_is_refused(tmp_path: Path) -> None:
    decider = AgentDecider(
        Agent(ScriptedPolicy(lambda messages, actions, rng: "search[mug]"), OneSample(), n=1)
    )
    shop = WebShopEnv()
    with TrajectoryWriter(tmp_path) as writer, pytest.raises(ConfigError, match="player_action"):
        collect(lambda: shop, [Episode(shop.server.task_ids[0], 0)], decider, writer, LabelSettings("player"))
