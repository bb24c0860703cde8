"""Tree search, collecting and choosing with a policy and a critic on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentq.agent import Agent
from agentq.backbones import BackboneConfig, load_backbone
from agentq.backbones.loading import resolve_name
from agentq.critics.q_head import QCritic
from agentq.features import FeatureExtractor
from agentq.policies.huggingface import HuggingFacePolicy
from agentq.search.collecting import SearchTask, collect_trees
from agentq.search.forest import Forest
from agentq.search.settings import SearchSettings
from agentq.search.worlds import EnvironmentWorld
from agentq.selectors.best_of_n import BestOfN
from agentq.trajectories.reader import TrajectoryReader
from agentq.trajectories.writer import TrajectoryWriter
from agentq_envs.webshop import WebShopEnv
from agentq_eval.collection import LabelSettings, collect
from agentq_eval.rollouts import Episode
from agentq_eval.running.deciders import AgentDecider
from tests.agentq.search.toy_world import content

pytestmark = pytest.mark.cuda

MakeEnv = Callable[[], WebShopEnv]
ITERATIONS = 6


def players(device: str) -> tuple[HuggingFacePolicy, QCritic]:
    """The policy and the critic that ship with AgentQ."""
    policy = HuggingFacePolicy(load_backbone(BackboneConfig(device=device)), max_new_tokens=16)
    return policy, QCritic.from_pretrained(resolve_name("embedded-q"), device=device)


@pytest.fixture(scope="module")
def on_gpu(gpu: str) -> tuple[HuggingFacePolicy, QCritic]:
    return players(gpu)


@pytest.fixture(scope="module")
def on_cpu() -> tuple[HuggingFacePolicy, QCritic]:
    return players("cpu")


@pytest.mark.parametrize("guide", ["uct", "puct"])
def test_trees_are_those_of_the_cpu(
    on_gpu: Any, on_cpu: Any, make_env: MakeEnv, tmp_path: Path, guide: Any
) -> None:
    settings = SearchSettings(iterations=ITERATIONS, width=3, max_depth=6, early_stop=False, guide=guide)
    tasks = [SearchTask(task) for task in make_env().server.task_ids[:2]]
    found, expected = (
        collect_trees(
            Forest(*parts),
            lambda: EnvironmentWorld(make_env()),
            tasks,
            tmp_path / name,
            settings,
            shown=False,
        )
        for name, parts in (("gpu", on_gpu), ("cpu", on_cpu))
    )
    assert len(found) == len(expected) == 2
    for one, other in zip(found, expected, strict=True):
        assert len(content(one)) > ITERATIONS
        assert content(one) == content(other)


def test_a_log_is_collected_and_its_features_are_those_of_the_cpu(
    on_gpu: Any, on_cpu: Any, make_env: MakeEnv, tmp_path: Path
) -> None:
    policy, critic = on_gpu
    episodes = [Episode(task, 0) for task in make_env().server.task_ids[:2]]
    decider = AgentDecider(Agent(policy, BestOfN(), critic, n=4, on_invalid="execute"))
    with TrajectoryWriter(tmp_path) as writer:
        summary = collect(make_env, episodes, decider, writer, LabelSettings("lookahead"))
    assert summary.episodes == 2
    steps = [step for episode in TrajectoryReader(tmp_path) for step in episode.trajectory.steps]
    pairs = [(step.messages, str(step.decision.chosen.action)) for step in steps]
    made = [FeatureExtractor(c.backbone).pairs(pairs) for _, c in (on_gpu, on_cpu)]
    np.testing.assert_allclose(made[0], made[1], atol=1e-4)
    states = [FeatureExtractor(c.backbone).states([m for m, _ in pairs]) for _, c in (on_gpu, on_cpu)]
    np.testing.assert_allclose(states[0], states[1], atol=1e-4)
