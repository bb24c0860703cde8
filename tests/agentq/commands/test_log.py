from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agentq.cli import main
from agentq.trajectories import TrajectoryReader, TrajectoryWriter
from agentq.types import Candidate, Decision, Step, Trajectory


def trajectory(task: str) -> Trajectory:
    candidates = (
        Candidate(text="click[red]", action="click[red]", count=3),
        Candidate(text="klick", action=None, error="unknown verb"),
    )
    decision = Decision(
        candidates,
        q=np.array([0.75, -np.inf]),
        probabilities=np.array([1.0, 0.0]),
        index=0,
        selector="best_of_n",
    )
    step = Step(({"role": "user", "content": "a red lamp"},), decision, 0.5, terminated=True, truncated=False)
    return Trajectory(task, 7, (step,))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    with TrajectoryWriter(tmp_path) as writer:
        for task in ("shop/1", "shop/2"):
            writer.write(trajectory(task))
    return tmp_path


def test_listing_names_every_episode(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["log", "show", str(log)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("task shop/1 seed 7 steps 1 score 0.500 finished")
    assert lines[-1] == "2 episodes, 0 damaged stretches"


def test_one_step_shows_state_candidates_and_choice(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    episode = TrajectoryReader(log).ids[1]
    assert main(["log", "show", str(log), "--episode", episode, "--step", "0"]) == 0
    text = capsys.readouterr().out
    assert "[user] a red lamp" in text
    assert " > q   0.7500  p 1.000  x3  click[red]" in text
    assert "q     -inf  p 0.000  x1  'klick' (unknown verb)" in text
    assert main(["log", "show", str(log), "--episode", episode]) == 0
    assert "[user]" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--episode", "absent"], "'absent' is not among the 2 complete episodes"),
        (["--episode", "FIRST", "--step", "9"], "step 9 is not in episode"),
        (["--step", "0"], "--step needs --episode"),
    ],
)
def test_what_is_not_there_is_named(
    log: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [TrajectoryReader(log).ids[0] if word == "FIRST" else word for word in words]
    assert main(["log", "show", str(log), *words]) == 1
    assert message in capsys.readouterr().err
