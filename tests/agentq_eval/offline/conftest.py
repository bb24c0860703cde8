"""A run on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentq.types import Trajectory
from agentq_eval.runs.manifest import Manifest, PlannedArm
from tests.agentq_eval.offline.chain_logs import Table, play, write_log


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of three arms, ten tasks each."""
    arms = {"sampled": ("first", {}), "majority": ("majority", {}), "soft": ("softmax", {"temperature": 0.2})}
    folder = tmp_path / "run"
    trajectories: list[Trajectory] = []
    for name, (selector, options) in arms.items():
        critic = Table() if name == "soft" else None
        trajectories += play(selector, critic=critic, arm=name, **options)
    write_log(folder / "log", trajectories)
    planned = tuple(
        PlannedArm(name, 3, "scripted", None, selector, {"selector": options})
        for name, (selector, options) in arms.items()
    )
    Manifest({}, {}, {}, tuple(map(str, range(10))), (0,), planned).write(folder)
    return folder
