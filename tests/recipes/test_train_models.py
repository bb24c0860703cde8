"""The recipes that made the shipped models, small: they run, write loadable folders, and say how they were made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml

from agentq import BackboneConfig, load_backbone
from agentq.trajectories import TrajectoryReader, TrajectoryWriter

SHAPE = ("--shape.vocabulary=700", "--shape.hidden=48", "--shape.intermediate=64", "--shape.layers=3",
         "--shape.head_dim=16")  # fmt: skip
FEW = ("--sessions=12", "--data.further_shops=0", "--token_budget=1024", "--warmup=2")
FEW_EPISODES = ("--openings=12", "--copying_steps=2", "--validation_episodes=3")


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory, finish: Callable[..., str]) -> Path:
    folder = tmp_path_factory.mktemp("policy")
    printed = finish("train_policy.py", f"--output={folder}", *FEW, *FEW_EPISODES, *SHAPE)
    assert "sampled success" in printed
    return folder / "model"


def test_a_policy_is_a_plain_model_folder_with_a_card(policy: Path) -> None:
    backbone = load_backbone(BackboneConfig(name=str(policy)))
    assert backbone.hidden_size == 48
    assert len(backbone.prompt_ids([{"role": "user", "content": "Goal: a red mug"}])) > 3
    card = (policy / "README.md").read_text()
    assert "12 scripted sessions and 12 more first actions" in card
    assert "from an untrained model" in card


def test_a_second_stage_goes_on_and_remembers_the_first(
    policy: Path, tmp_path: Path, finish: Callable[..., str]
) -> None:
    finish("train_policy.py", f"--output={tmp_path}", f"--start={policy}", *FEW, *FEW_EPISODES, "--seed=1")
    folder = tmp_path / "model"
    stages = yaml.safe_load((folder / "training.yaml").read_text())
    assert [stage["seed"] for stage in stages] == [0, 1]
    assert "from the model of an earlier stage" in (folder / "README.md").read_text()
    before, after = (load_backbone(BackboneConfig(name=str(where))) for where in (policy, folder))
    assert before.template_fingerprint == after.template_fingerprint
    assert before.fingerprint != after.fingerprint


def test_a_representation_is_tuned_on_questions_about_actions(
    policy: Path, tmp_path: Path, finish: Callable[..., str]
) -> None:
    printed = finish(
        "tune_representation.py", f"--output={tmp_path}", f"--backbone.name={policy}", *FEW,
        "--alternatives=3", "--validation_sessions=3", "--keep=1",
    )  # fmt: skip
    assert "explained variance before" in printed
    tuned = load_backbone(BackboneConfig(name=str(tmp_path / "model")))
    assert tuned.fingerprint != load_backbone(BackboneConfig(name=str(policy))).fingerprint
    assert "gap closed within states" in (tmp_path / "model" / "README.md").read_text()


def test_a_representation_is_tuned_on_the_candidates_of_a_log(
    policy: Path, labelled_log: Path, tmp_path: Path, finish: Callable[..., str]
) -> None:
    printed = finish(
        "tune_representation.py", f"--output={tmp_path}", f"--backbone.name={policy}", f"--log=[{labelled_log}]",
        "--token_budget=1024", "--warmup=2", "--keep=1",
    )  # fmt: skip
    assert "explained variance before" in printed
    card = (tmp_path / "model" / "README.md").read_text()
    assert "candidates of a policy in 1 labelled logs" in card
    assert "every twentieth logged task" in card
    tuned = load_backbone(BackboneConfig(name=str(tmp_path / "model")))
    assert tuned.fingerprint != load_backbone(BackboneConfig(name=str(policy))).fingerprint


def test_a_log_can_be_kept_to_measure_on(
    policy: Path, labelled_log: Path, tmp_path: Path, finish: Callable[..., str]
) -> None:
    finish(
        "tune_representation.py", f"--output={tmp_path}", f"--backbone.name={policy}", f"--log=[{labelled_log}]",
        f"--validation_log=[{labelled_log}]", "--token_budget=1024", "--warmup=2", "--keep=0.2",
    )  # fmt: skip
    assert "Measured on --validation_log" in (tmp_path / "model" / "README.md").read_text()


def test_more_layers_learn_logs_and_replayed_sessions_together(
    policy: Path, labelled_log: Path, tmp_path: Path, finish: Callable[..., str]
) -> None:
    start = load_backbone(BackboneConfig(name=str(policy)))
    printed = finish(
        "tune_representation.py", f"--output={tmp_path}", f"--backbone.name={policy}", f"--log=[{labelled_log}]",
        "--mixed", f"--layers={start.num_layers + 1}", *FEW, "--keep=1",
    )  # fmt: skip
    alone = sum(len(episode.trajectory.steps) for episode in TrajectoryReader(labelled_log))
    assert int(printed.split(" states with tried actions")[0].split()[-1]) > alone
    assert "replayed scripted sessions" in (tmp_path / "model" / "README.md").read_text()
    tuned = load_backbone(BackboneConfig(name=str(tmp_path / "model")))
    assert tuned.num_layers == start.num_layers + 1


def test_logs_without_labelled_tasks_are_refused(
    policy: Path, tmp_path: Path, start: Callable[..., CompletedProcess[str]]
) -> None:
    with TrajectoryWriter(tmp_path / "log"):
        pass  # nothing was played
    done = start("tune_representation.py", f"--backbone.name={policy}", f"--log=[{tmp_path / 'log'}]",
                 f"--output={tmp_path / 'x'}")  # fmt: skip
    assert done.returncode != 0
    assert "0 labelled states of 0 tasks" in done.stderr


def test_a_validation_log_needs_a_log_and_labels(
    policy: Path, labelled_log: Path, tmp_path: Path, start: Callable[..., CompletedProcess[str]]
) -> None:
    with TrajectoryWriter(tmp_path / "empty"):
        pass  # nothing was played
    options = (
        f"--backbone.name={policy}",
        f"--validation_log=[{tmp_path / 'empty'}]",
        f"--output={tmp_path / 'x'}",
    )
    assert "Give --log, or leave it out" in start("tune_representation.py", "--mixed", options[-1]).stderr
    for more, words in (
        ((), "Give --log"),
        ((f"--log=[{labelled_log}]",), "no labelled states to measure on"),
    ):
        done = start("tune_representation.py", *options, *more)
        assert done.returncode != 0
        assert words in done.stderr
