"""The Countdown recipe, small: it runs, reports, and a killed run ends with the numbers of an uninterrupted one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from agentq import BackboneConfig, load_backbone

from .conftest import ROOT

QUICK = f"--config={ROOT / 'recipes' / 'configs' / 'rover_quick.yaml'}"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, finish: Callable[..., str]) -> Path:
    folder = tmp_path_factory.mktemp("rover")
    printed = finish("train_rover.py", QUICK, f"--output={folder}")
    assert "pass@8" in printed
    return folder


def test_it_reports_all_models_and_saves_them(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text())
    assert list(results) == ["first", "rover", "grpo"]
    for figures in results.values():
        assert 0 <= figures["pass@1"] <= figures["pass@8"] <= 1
        assert set(figures) >= {"distinct", "coverage", "entropy"}
    backbones = [load_backbone(BackboneConfig(name=str(finished / name))) for name in ("rover", "grpo")]
    assert backbones[0].hidden_size == 32


@pytest.mark.slow
def test_killed_and_started_again_it_ends_the_same(
    finished: Path, tmp_path: Path, finish: Callable[..., str]
) -> None:
    words = [sys.executable, str(ROOT / "recipes" / "train_rover.py"), QUICK, f"--output={tmp_path}"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=dict(os.environ)) as child:
        assert child.stdout is not None
        assert any(line.startswith("rover 2") for line in child.stdout)
        child.send_signal(signal.SIGKILL)
    assert not (tmp_path / "results.json").exists()
    finish("train_rover.py", QUICK, f"--output={tmp_path}")
    assert (tmp_path / "results.json").read_text() == (finished / "results.json").read_text()
    for name in ("rover", "grpo"):
        weights = [(folder / name / "model.safetensors").read_bytes() for folder in (finished, tmp_path)]
        assert weights[0] == weights[1]
