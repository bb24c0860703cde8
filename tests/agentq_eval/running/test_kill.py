"""SIGKILL at random moments of a running evaluation: what is resumed equals what was never interrupted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentq_eval.runs.reader import RunReader
from agentq_eval.runs.writer import read_sessions

HERE = Path(__file__).resolve().parent
Content = Callable[[Path], dict[str, Any]]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL and /proc are of POSIX")


def start(folder: Path, runner: str = "thread", *more: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(HERE / "evaluation_child.py"), str(folder), runner, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "begun\n", child.communicate()[1][-3000:]
    return child


def finish(folder: Path) -> None:
    child = start(folder)
    errors = child.communicate()[1]
    assert child.returncode == 0, errors[-3000:]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A run that nothing happened to, and how long it took."""
    folder = tmp_path_factory.mktemp("undisturbed")
    os.environ["PYTHONPATH"] = ":".join([str(HERE), *filter(None, sys.path)])
    began = time.monotonic()
    finish(folder)
    return folder, time.monotonic() - began


def test_fifty_kills_change_nothing(
    undisturbed: tuple[Path, float], content: Content, tmp_path: Path
) -> None:
    folder, whole = undisturbed
    rng = random.Random(0)
    kills = 0
    while kills < 50:
        child = start(tmp_path)
        time.sleep(rng.uniform(0, whole / 40))
        if child.poll() is not None:  # it was faster: begin the next run of the same plan
            assert child.returncode == 0
            break
        child.send_signal(signal.SIGKILL)
        child.communicate()
        kills += 1
    assert kills == 50
    finish(tmp_path)
    assert content(tmp_path) == content(folder)
    assert len(RunReader(tmp_path).results()) == RunReader(folder).manifest.planned == 900
    assert len(read_sessions(tmp_path)) > 25  # most were killed after the plan was checked


def test_workers_end_with_the_process_that_was_killed(
    undisturbed: tuple[Path, float], content: Content, tmp_path: Path
) -> None:
    for _ in range(3):
        child = start(tmp_path, "process")
        deadline = time.monotonic() + 60
        while not (workers := _children(child.pid)) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(1.0)
        workers = _children(child.pid) or workers
        child.send_signal(signal.SIGKILL)
        child.communicate()
        assert workers
        while any(map(_alive, workers)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(map(_alive, workers))
    finish(tmp_path)
    assert content(tmp_path) == content(undisturbed[0])


def test_a_full_disk_stops_the_run_and_loses_nothing(
    undisturbed: tuple[Path, float], content: Content, tmp_path: Path
) -> None:
    child = start(tmp_path, "thread", "300000")
    errors = child.communicate()[1]
    assert child.returncode == 1
    assert "could not write episode" in errors
    assert "Free disk space" in errors
    before = content(tmp_path)
    assert 0 < len(before) < 900
    finish(tmp_path)
    after = content(tmp_path)
    assert before.items() <= after.items()
    assert after == content(undisturbed[0])


def _children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
