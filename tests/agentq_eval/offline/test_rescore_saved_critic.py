"""The whole way with real models: play a suite, then score its log again with a saved critic."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from agentq.backbones.loading import resolve_name
from agentq.cli import main
from agentq.critics.q_head import QCritic
from agentq.trajectories import TrajectoryReader


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("played") / "run"
    words = ["--tasks", "2", "--arms", "softmax", "--workers", "1", "--output", str(folder)]
    assert main(["eval", "webshop-embedded", *words]) == 0
    return folder


@pytest.mark.slow
def test_the_critic_that_played_says_the_same_again(
    played: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = resolve_name("embedded-q")
    capsys.readouterr()
    words = ["--critic", folder, "--output", str(tmp_path / "same"), "--json"]
    assert main(["rescore", str(played), *words]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["all"]["same"]["value"] == 1
    assert report["all"]["decisions"] > 4
    pairs = zip(TrajectoryReader(played / "log"), TrajectoryReader(tmp_path / "same"), strict=True)
    for old, new in pairs:
        for was, now in zip(old.trajectory.steps, new.trajectory.steps, strict=True):
            np.testing.assert_allclose(now.decision.q, was.decision.q, atol=1e-5)
            assert now.decision.draw == was.decision.draw
    assert main(["eval", "--replay", str(tmp_path / "same")]) == 0


@pytest.mark.slow
def test_another_critic_and_selector_are_compared_and_estimated_or_refused(
    played: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    critic = QCritic.from_pretrained(resolve_name("embedded-q"))
    for parameter in critic.heads.parameters():
        parameter.data.neg_()  # values that have nothing to do with what was logged
    other = critic.save_pretrained(tmp_path / "other", save_backbone=True)
    capsys.readouterr()
    assert main(["rescore", str(played), "--critic", str(other), "--selector", "best_of_n", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["all"]["same"]["value"] < 1
    (arm,) = report["arms"]
    assert "too few effective episodes" in arm["off_policy"]["refused"]
