"""Recipes as a user of a GPU starts them: by accelerate, device "auto", their quick configurations."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT

pytestmark = [pytest.mark.cuda, pytest.mark.slow]


def launch(recipe: str, config: str, folder: Path, *options: str) -> str:
    """What the recipe printed; it has to succeed."""
    words = [
        sys.executable, "-m", "accelerate.commands.launch", str(ROOT / "recipes" / recipe),
        f"--config={ROOT / 'recipes' / 'configs' / config}", f"--output={folder}", *options,
    ]  # fmt: skip
    done = subprocess.run(
        words, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "HF_HUB_OFFLINE": "1"}, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize(
    ("recipe", "config", "options"),
    [
        ("train_qvalue.py", "quick.yaml", ()),
        ("train_qvalue.py", "quick.yaml", ("--critic.lora", "--critic.training.mixed_precision=bf16")),
        ("train_preference.py", "preference_quick.yaml", ()),
    ],
    ids=["heads", "adapters", "preference"],
)
def test_from_nothing_to_a_report(
    gpu: str, tmp_path: Path, recipe: str, config: str, options: tuple[str, ...]
) -> None:
    assert "gain of best_of_n" in launch(recipe, config, tmp_path, *options)
    report = json.loads((tmp_path / "report.json").read_text())
    assert {"sampled", "greedy", "best_of_n"} <= set(report["arms"])
    assert (tmp_path / "critic" / "config.json").is_file()


def test_a_preference_critic_in_4_bits(gpu: str, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    options = ("--critic.quantization=4bit", "--critic.dtype=bfloat16")
    assert "gain of best_of_n" in launch("train_preference.py", "preference_quick.yaml", tmp_path, *options)
    content = json.loads((tmp_path / "critic" / "config.json").read_text())
    assert content["backbone"]["quantization"] == "4bit"


def test_rover_and_grpo(gpu: str, tmp_path: Path) -> None:
    assert "pass@8" in launch("train_rover.py", "rover_quick.yaml", tmp_path)
    assert set(json.loads((tmp_path / "results.json").read_text())) == {"first", "rover", "grpo"}
