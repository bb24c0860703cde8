from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from agentq.agent import Agent
from agentq.backbones import BackboneConfig, load_backbone
from agentq.policies.huggingface import HuggingFacePolicy
from agentq.selectors.first import First
from agentq.trajectories.writer import TrajectoryWriter
from agentq_envs.benchmark import load_benchmark
from agentq_eval.collection import LabelSettings, collect
from agentq_eval.rollouts import Episode
from agentq_eval.running.deciders import AgentDecider

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def start() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Starts a recipe by its file name, with options, as a process of its own."""

    def run(recipe: str, *options: str) -> subprocess.CompletedProcess[str]:
        return _started(recipe, *options)

    return run


@pytest.fixture(scope="session")
def finish(start: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[..., str]:
    """As ``start``; it has to succeed, and what it printed comes back."""

    def run(recipe: str, *options: str) -> str:
        return _printed(start(recipe, *options))

    return run


@pytest.fixture(scope="session")
def launch() -> Callable[..., str]:
    """As ``finish``, by ``accelerate launch``."""

    def run(recipe: str, *options: str) -> str:
        return _printed(_started(recipe, *options, launcher=("-m", "accelerate.commands.launch")))

    return run


@pytest.fixture(scope="session")
def labelled_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few shop episodes of the policy that ships, every candidate with its exact value."""
    folder = tmp_path_factory.mktemp("labelled") / "log"
    learnt = load_benchmark("webshop")
    policy = HuggingFacePolicy(load_backbone(BackboneConfig("embedded")), temperature=0.8)
    decider = AgentDecider(Agent(policy, First(), n=4, on_invalid="execute"))
    episodes = [Episode(task, 0) for task in learnt.panel("train").tasks[:40]]
    make_env = partial(learnt.make_env, 6)
    with TrajectoryWriter(folder) as writer:
        collect(make_env, episodes, decider, writer, LabelSettings("lookahead"))
    return folder


def _started(recipe: str, *options: str, launcher: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *launcher, str(ROOT / "recipes" / recipe), *options],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )


def _printed(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
