"""Recipes as a user of a GPU starts them: by accelerate, device "auto", small."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ROOT
from .test_train_models import FEW, FEW_EPISODES, SHAPE

pytestmark = [pytest.mark.cuda, pytest.mark.slow, pytest.mark.usefixtures("gpu")]

Launch = Callable[..., str]
CONFIGS = ROOT / "recipes" / "configs"


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("train_qvalue.py", ("--config=quick.yaml",)),
        (
            "train_qvalue.py",
            ("--config=quick.yaml", "--critic.lora", "--critic.training.mixed_precision=bf16"),
        ),
        ("train_preference.py", ("--config=preference_quick.yaml",)),
        (
            "train_preference.py",
            ("--config=preference_quick.yaml", "--critic.quantization=4bit", "--critic.dtype=bfloat16"),
        ),
    ],
    ids=["heads", "adapters", "preference", "preference_4bit"],
)
def test_from_nothing_to_a_report(
    tmp_path: Path, launch: Launch, recipe: str, options: tuple[str, ...]
) -> None:
    file = options[0].removeprefix("--config=")
    printed = launch(recipe, f"--config={CONFIGS / file}", *options[1:], f"--output={tmp_path}")
    assert "gain of best_of_n" in printed
    report = json.loads((tmp_path / "report.json").read_text())
    assert {"sampled", "greedy", "best_of_n"} <= set(report["arms"])
    critic = json.loads((tmp_path / "critic" / "config.json").read_text())
    assert (critic["backbone"]["quantization"] == "4bit") == ("--critic.quantization=4bit" in options)


def test_on_policy_training(tmp_path: Path, launch: Launch) -> None:
    printed = launch("train_rover.py", f"--config={CONFIGS / 'rover_quick.yaml'}", f"--output={tmp_path}")
    assert "pass@8" in printed
    assert set(json.loads((tmp_path / "results.json").read_text())) == {"first", "rover", "grpo"}


def test_a_policy_and_a_representation(tmp_path: Path, launch: Launch) -> None:
    policy = tmp_path / "policy"
    assert "sampled success" in launch("train_policy.py", f"--output={policy}", *FEW, *FEW_EPISODES, *SHAPE)
    tuned = launch(
        "tune_representation.py", f"--output={tmp_path / 'tuned'}", f"--backbone.name={policy / 'model'}", *FEW,
        "--alternatives=3", "--validation_sessions=3", "--keep=1",
    )  # fmt: skip
    assert "explained variance before" in tuned
