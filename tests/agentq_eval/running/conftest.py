from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agentq_eval.running.building import build_workbench
from agentq_eval.running.run import RunSettings, play
from agentq_eval.runs.reader import RunReader
from agentq_eval.runs.writer import RunWriter
from agentq_eval.suites.suite import ArmSpec, CriticSpec, EnvironmentSpec, PanelSpec, PolicySpec, Suite

HERE = Path(__file__).resolve().parent


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers import ``corridor`` by its name, as they would a user's environment."""
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("PYTHONPATH", ":".join([str(HERE), *filter(None, sys.path)]))


@pytest.fixture
def suite() -> Suite:
    return Suite(
        name="corridor",
        environment=EnvironmentSpec("corridor:Corridor"),
        panel=PanelSpec(tasks=tuple(f"t{i}" for i in range(12))),
        policy=PolicySpec(factory="corridor:policy", temperature=1.0),
        critic=CriticSpec(factory="corridor:NoisyCritic"),
        arms=(
            ArmSpec("sampled", n=(1,)),
            ArmSpec("greedy", n=(1,), temperature=0.0),
            ArmSpec("softmax", "softmax", {"temperature": 0.5}, (4,), critic=True),
            ArmSpec("best_of_n", "best_of_n", n=(2, 4), critic=True),
            ArmSpec("oracle", "oracle", n=(4,)),
        ),
        seeds=(0, 1),
        max_steps=8,
        labels="lookahead",
        retry_wait=0.01,
    )


@pytest.fixture
def misbehaving(suite: Suite) -> Callable[..., Suite]:
    """The suite with one arm, in which the environment or the agent does something bad in one task."""

    def make(environment: str = "", agent: str = "") -> Suite:
        return replace(
            suite,
            environment=replace(suite.environment, options={"misbehave": environment}),
            policy=replace(suite.policy, options={"misbehave": agent} if agent else {}),
            arms=(ArmSpec("sampled", n=(1,)),),
            seeds=(0,),
        )

    return make


@pytest.fixture
def playing() -> Callable[..., RunReader]:
    """Plays what is missing of a suite in a folder, without a report."""

    def play_in(suite: Suite, folder: Path, settings: RunSettings | None = None) -> RunReader:
        settings = settings or RunSettings("thread", 1, slots=16, progress=False)
        with RunWriter(folder) as writer:
            play(suite, writer, partial(build_workbench, suite), settings)
        return RunReader(folder)

    return play_in


@pytest.fixture
def content() -> Callable[[Path], dict[str, Any]]:
    """Everything that a run logged, by episode id, but for times."""
    return _content


def _content(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for episode in RunReader(folder).log:
        about = {k: v for k, v in episode.trajectory.metadata.items() if k != "session"}
        steps = [
            (
                step.messages, step.decision.candidates, step.decision.q.tolist(), step.decision.index,
                step.decision.probabilities.tolist(), step.decision.draw, step.reward, step.terminated,
                step.truncated, step.info, None if step.labels is None else step.labels.tolist(),
            )
            for step in episode.trajectory.steps
        ]  # fmt: skip
        found[episode.id] = (about, steps)
    return found
