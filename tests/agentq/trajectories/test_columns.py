from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.json as paj
import pytest

from agentq.trajectories import TrajectoryWriter
from agentq.types import Candidate, Decision, Step, Trajectory

Build = Callable[..., Trajectory]


def _bare(seed: int) -> Trajectory:
    """An episode that leaves every optional column empty."""
    decision = Decision((Candidate("a", None, "bad"),), np.array([-np.inf]), np.array([1.0]), 0)
    return Trajectory("t", seed, (Step(({"role": "user", "content": "x"},), decision, 0.0, False, True),))


def _write(folder: Path, trajectories: list[Trajectory], shard_bytes: int = 1 << 20) -> list[str]:
    with TrajectoryWriter(folder, max_shard_bytes=shard_bytes) as writer:
        for item in trajectories:
            writer.write(item)
    return [str(path) for path in sorted(folder.glob("shard-*.jsonl"))]


def test_pyarrow_infers_one_schema_for_any_log(tmp_path: Path, trajectory: Build) -> None:
    bare = _write(tmp_path / "bare", [_bare(0)])
    rich = _write(tmp_path / "rich", [trajectory(0)])
    empty = _write(tmp_path / "empty", [])
    schemas = [paj.read_json(files[0]).schema for files in (bare, rich, empty)]
    assert schemas[0] == schemas[1] == schemas[2]
    assert schemas[0].field("q").type == pa.list_(pa.float64())
    assert schemas[0].field("flags").type == pa.list_(pa.string())
    assert not [field.name for field in schemas[0] if "null" in str(field.type)]


def test_datasets_reads_shards_whose_first_chunk_is_bare(tmp_path: Path, trajectory: Build) -> None:
    import datasets

    many = [*(_bare(seed) for seed in range(60)), trajectory(60, steps=3), _bare(61)]
    files = _write(tmp_path / "log", many, shard_bytes=20_000)
    assert len(files) > 1
    table = datasets.load_dataset(
        "json", data_files=files, split="train", cache_dir=str(tmp_path / "cache"), chunksize=4000
    )
    steps = table.filter(lambda row: row["record"] == "step")
    assert len(steps) == 64
    rich = steps[60]
    assert rich["task"] == "task-60"
    assert rich["q"] == [6.0, None]
    assert json.loads(rich["exact"])["q.1"] == "-inf"
    assert rich["candidates"][0]["token_ids"] == [1, 2, 3]
    assert json.loads(rich["info"]) == {"parts": {"attributes": 0.5}}
    assert steps[0]["labels"] is None


def test_pandas_reads_steps(tmp_path: Path, trajectory: Build) -> None:
    pandas = pytest.importorskip("pandas")
    files = _write(tmp_path, [trajectory(seed) for seed in range(3)])
    rows = pandas.read_json(files[0], lines=True).query("record == 'step'")
    assert rows.reward.tolist() == [0.0, 1.0] * 3
    assert rows.groupby("episode").step.max().tolist() == [1, 1, 1]
