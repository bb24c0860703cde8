from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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
