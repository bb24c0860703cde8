"""The environment under the evaluation harness, with a policy that walks at random."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import agentq_eval
from agentq.policies.scripted import ScriptedPolicy
from agentq.types import Messages
from agentq_envs.alfworld.panels import load_panel
from agentq_eval.suites.suite import ArmSpec, EnvironmentSpec, PanelSpec, PolicySpec, Suite


def random_commands() -> ScriptedPolicy:
    """Any of the commands that the prompt lists."""

    def reply(messages: Messages, admissible: Sequence[str] | None, rng: np.random.Generator) -> str:
        listed = str(messages[-1]["content"]).partition("Commands:\n")[2].splitlines()
        assert admissible is None or list(admissible) == listed
        return str(rng.choice(listed))

    return ScriptedPolicy(reply)


@pytest.mark.slow
def test_the_oracle_beats_a_random_walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = str(Path(__file__).resolve().parent)
    monkeypatch.syspath_prepend(folder)
    suite = Suite(
        name="household",
        environment=EnvironmentSpec("agentq_envs:agentq/ALFWorld-v0"),
        panel=PanelSpec("embedded-test", hash=load_panel("embedded-test").hash, first=6),
        policy=PolicySpec(factory=f"{Path(__file__).stem}:random_commands"),
        arms=(ArmSpec("sampled", n=(1,)), ArmSpec("oracle", "oracle", n=(16,))),
        max_steps=50,
        labels="lookahead",
    )
    settings = agentq_eval.RunSettings("thread", 1, slots=6, progress=False)
    agentq_eval.run(suite, tmp_path / "run", settings=settings)
    results = agentq_eval.RunReader(tmp_path / "run").results()
    assert {result.outcome for result in results} == {"finished"}
    solved = {arm: [r.score for r in results if r.arm == arm] for arm in ("sampled", "oracle")}
    assert len(solved["oracle"]) == len(solved["sampled"]) == 6
    assert sum(solved["oracle"]) >= 5 > sum(solved["sampled"])
