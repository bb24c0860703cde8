"""The main job as a user starts it, on a few episodes, with the models that ship with AgentQ."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentq import Candidate, QCritic, TrajectoryReader

RECIPE = "train_qvalue.py"
SMALL = (
    "--max_steps=6",
    "--collect.episodes=10",
    "--collect.rounds=2",
    "--collect.n=4",
    "--critic.training.steps=20",
    "--critic.validation_share=0.3",
    "--test.tasks=6",
    "--test.n=4",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, finish: Callable[..., str]) -> Path:
    folder = tmp_path_factory.mktemp("run") / "small"
    assert "oracle gap closed" in finish(RECIPE, f"--output={folder}", *SMALL)
    return folder


def report_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text())


def test_the_report_compares_every_arm_on_the_same_tasks(finished: Path) -> None:
    report = report_of(finished)
    assert set(report["arms"]) == {"sampled", "greedy", "majority", "best_of_n", "softmax", "oracle"}
    for arm in report["arms"].values():
        assert 0 <= arm["score"]["low"] <= arm["score"]["mean"] <= arm["score"]["high"] <= 1
        assert 0 <= arm["success"]["rate"] <= 1
    assert {"relative", "low", "high"} <= set(report["gain"])
    assert {"value", "low", "high"} <= set(report["oracle_gap_closed"])
    assert (finished / "report.html").stat().st_size > 1000
    assert list(finished.glob("**/*.png"))


def test_nothing_is_learnt_from_tasks_of_the_test(finished: Path) -> None:
    logs = [TrajectoryReader(finished / "collected" / name) for name in ("round-0", "round-1")]
    learnt = {episode.trajectory.task for log in logs for episode in log}
    lines = [json.loads(line) for line in (finished / "episodes.jsonl").read_text().splitlines()]
    played = {line["task"] for line in lines}
    assert len(learnt) == 20  # every round has tasks of its own
    assert len(played) == 6
    assert not learnt & played


def test_the_critic_comes_back_from_its_folder(finished: Path) -> None:
    critic = QCritic.from_pretrained(finished / "critic")
    state = [{"role": "user", "content": "Find a red mug."}]
    actions = ["search[red mug]", "search[blue shoe]"]
    (q,) = critic.score([(state, [Candidate(text=action, action=action) for action in actions])])
    assert q.shape == (2,)
    assert np.isfinite(q).all()
    assert q[0] != q[1]


def test_the_same_command_again_collects_nothing_and_finds_the_same(
    finished: Path, finish: Callable[..., str]
) -> None:
    before = report_of(finished)
    assert finish(RECIPE, f"--output={finished}", *SMALL).count(": 0 new episodes") == 2
    after = report_of(finished)
    for name, arm in before["arms"].items():
        assert after["arms"][name]["score"] == arm["score"]


def test_in_the_second_round_the_first_critic_chooses(finished: Path) -> None:
    selectors = [
        {
            step.decision.selector
            for episode in TrajectoryReader(finished / "collected" / name)
            for step in episode.trajectory.steps
        }
        for name in ("round-0", "round-1")
    ]
    assert "best_of_n" not in selectors[0]
    assert "best_of_n" in selectors[1]


def test_learns_from_a_log_without_labels_when_told_to(
    finished: Path, tmp_path: Path, finish: Callable[..., str]
) -> None:
    options = (
        f"--output={tmp_path / 'run'}",
        "--config=recipes/configs/logged_returns.yaml",
        f"--log={finished / 'collected' / 'round-0'}",
        "--test.arms=sampled,best_of_n",
    )
    finish(RECIPE, *SMALL, *options)
    report = report_of(tmp_path / "run")
    assert set(report["arms"]) == {"sampled", "best_of_n"}
    assert report["oracle_gap_closed"]["value"] is None
    assert not (tmp_path / "run" / "collected").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        ("--critic.objective.name=rover", "--critic.objective.backup=expected"),
        ("--critic.objective.name=dqc", "--critic.head.output=logit"),
    ],
)
def test_learns_values_of_uniform_choice_and_of_chunks(
    finished: Path, tmp_path: Path, finish: Callable[..., str], options: tuple[str, ...]
) -> None:
    more = (
        f"--output={tmp_path / 'run'}",
        f"--log={finished / 'collected' / 'round-0'}",
        "--test.arms=sampled,best_of_n",
    )
    finish(RECIPE, "--config=recipes/configs/quick.yaml", *SMALL, *options, *more)
    assert set(report_of(tmp_path / "run")["arms"]) == {"sampled", "best_of_n"}
    critic = QCritic.from_pretrained(tmp_path / "run" / "critic")
    assert critic.config.training["objective"]["name"] in options[0]
    assert not any("chunk" in name for name in critic.heads.state_dict())


def test_trains_adapters_with_the_heads(finished: Path, tmp_path: Path, finish: Callable[..., str]) -> None:
    options = (
        f"--output={tmp_path / 'run'}",
        f"--log={finished / 'collected' / 'round-0'}",
        "--critic.lora",
        "--critic.training.steps=6",
        "--critic.training.evaluate_every=3",
        "--test.arms=sampled,best_of_n",
    )
    finish(RECIPE, *SMALL, *options)
    assert (tmp_path / "run" / "critic" / "adapter" / "adapter_model.safetensors").is_file()
    assert set(report_of(tmp_path / "run")["arms"]) == {"sampled", "best_of_n"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--collect.n=0",), "--collect.n 0"),
        (("--test.n=0",), "--test.n 0"),
        (("--policy.temperature=0",), "8 equal candidates"),
        (("--collect.split=validation", "--test.split=validation"), "both 'validation'"),
        (("--collect.labels.kind=none",), "without candidate labels"),
        (("--critic.grounding=nowhere:at_all",), "cannot be imported"),
        (("--policy.temprature=1",), "temperature"),
        (("--policy.model=./no/such/folder",), "does not exist"),
        (("--log=no/such/log",), "no/such/log"),
    ],
)
def test_impossible_options_are_named_at_once(
    tmp_path: Path,
    options: tuple[str, ...],
    words: str,
    start: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = start(RECIPE, f"--output={tmp_path}", *options)
    assert done.returncode != 0
    assert words in done.stderr
    assert not (tmp_path / "collected").exists()
