from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentq.errors import LogError
from agentq.trajectories import LogDamageWarning, TrajectoryReader, TrajectoryWriter
from agentq.trajectories.shards import Block, Damage, scan
from agentq.types import Trajectory

Build = Callable[..., Trajectory]
Equal = Callable[[Any, Any], bool]

# Writes episodes of varied size as fast as it can and reports each one only after write() returned.
ENDLESS_WRITER = """
import sys
from agentq.trajectories import TrajectoryWriter
from agentq.types import Candidate, Decision, Step, Trajectory
import numpy as np
decision = Decision((Candidate("a", "a"),), np.zeros(1), np.ones(1), 0)
with TrajectoryWriter(sys.argv[1], max_shard_bytes=200_000) as writer:
    while True:
        n = len(writer)
        state = ({"role": "user", "content": "x" * (n * 7919 % 30_000)},)
        name = writer.write(Trajectory(str(n), n, (Step(state, decision, 1.0, True, False),)))
        print(name, flush=True)
"""


def _child(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_kill_at_random_moments_loses_no_finished_episode(tmp_path: Path) -> None:
    random.seed(0)
    finished: list[str] = []
    for _ in range(20):
        child = _child(ENDLESS_WRITER, str(tmp_path))
        assert child.stdout is not None
        first = child.stdout.readline().strip()  # it is up and has written once
        time.sleep(random.uniform(0.0, 0.05))
        child.kill()
        # Not what communicate() returns: it reads the pipe and would miss lines that readline() has taken in already.
        finished += [first, *child.stdout.read().split()]
        child.communicate()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LogDamageWarning)
            ids = list(TrajectoryReader(tmp_path).ids)
        assert finished == ids[: len(finished)]
        assert len(ids) - len(finished) <= 1  # written, killed before it could say so
        finished = ids
    assert len(finished) > 20
    assert [e.trajectory.task for e in TrajectoryReader(tmp_path)] == finished


def test_a_cut_at_every_byte_is_repaired(tmp_path: Path, trajectory: Build, equal: Equal) -> None:
    with TrajectoryWriter(tmp_path / "whole") as writer:
        made = {writer.write(trajectory(n, steps=n)): trajectory(n, steps=n) for n in range(2)}
    whole = (tmp_path / "whole" / "shard-00000.jsonl").read_bytes()
    ends = [b.offset + b.size for b in _scanned(whole) if isinstance(b, Block)]
    assert ends[-1] == len(whole)
    schema_end = whole.index(b"\n") + 1
    boundaries = {0, schema_end, *ends}
    log = tmp_path / "log"
    log.mkdir()
    shard = log / "shard-00000.jsonl"
    for cut in range(len(whole)):
        shard.write_bytes(whole[:cut])
        kept = [str(i) for i, end in enumerate(ends) if end <= cut]
        torn = cut not in boundaries
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            reader = TrajectoryReader(log)
            assert list(reader.ids) == kept
            assert [d.torn for d in reader.damages] == [True] * torn
            writer = TrajectoryWriter(log)
            assert (writer.repair is not None) == torn
            assert writer.write(trajectory(5, steps=1), "new") == "new"
            writer.close()
        assert [w.category for w in seen] == [LogDamageWarning] * (2 * torn)
        if writer.repair is not None:
            assert writer.repair.torn.read_bytes() == whole[writer.repair.kept : cut]
            writer.repair.torn.unlink()
        after = TrajectoryReader(log)
        assert list(after.ids) == [*kept, "new"]
        assert all(equal(after[name], made[name]) for name in kept)
        assert after.damages == ()


def _scanned(data: bytes) -> list[Block | Damage]:
    return list(scan(Path("memory"), iter(data.splitlines(keepends=True))))


def test_a_flipped_byte_anywhere_is_reported(tmp_path: Path, trajectory: Build) -> None:
    with TrajectoryWriter(tmp_path) as writer:
        for seed in range(3):
            writer.write(trajectory(seed, steps=1))
    whole = (tmp_path / "shard-00000.jsonl").read_bytes()
    blocks = [b for b in _scanned(whole) if isinstance(b, Block)]
    middle = blocks[1]
    for position in range(middle.offset, middle.offset + middle.size):
        broken = bytearray(whole)
        broken[position] ^= 0x10
        found = _scanned(bytes(broken))
        damaged = [d for d in found if isinstance(d, Damage)]
        kept = [b.episode for b in found if isinstance(b, Block)]
        assert kept in (["0", "2"], ["0"])  # a lost newline at its end takes the next episode along
        assert damaged
        assert not set(kept) & {name for d in damaged for name in d.episodes}
        assert min(d.offset for d in damaged) == middle.offset


def test_a_damaged_middle_stays_and_is_warned_about(tmp_path: Path, trajectory: Build) -> None:
    with TrajectoryWriter(tmp_path) as writer:
        for seed in range(3):
            writer.write(trajectory(seed, steps=1))
    shard = tmp_path / "shard-00000.jsonl"
    shard.write_bytes(shard.read_bytes().replace(b"page 1", b"page 7"))
    reader = TrajectoryReader(tmp_path)
    with pytest.warns(LogDamageWarning, match=r"'1'.*checksum does not match"):
        ids = reader.ids
    assert ids == ("0", "2")
    assert [(d.torn, d.episodes) for d in reader.damages] == [(False, ("1",))]
    with pytest.warns(LogDamageWarning, match="damaged log"):
        writer = TrajectoryWriter(tmp_path)
    assert writer.repair is None
    writer.write(trajectory(1), "1")  # the lost episode can be run again under its id
    writer.close()
    with pytest.warns(LogDamageWarning):
        ids = TrajectoryReader(tmp_path).ids
    assert ids == ("0", "2", "1")


def test_newer_log_is_refused(tmp_path: Path, trajectory: Build) -> None:
    with TrajectoryWriter(tmp_path) as writer:
        writer.write(trajectory(0))
    shard = tmp_path / "shard-00000.jsonl"
    lines = shard.read_text().splitlines()
    row = json.loads(lines[0])
    assert row["record"] == "schema"
    shard.write_text(shard.read_text().replace('"schema_version":1', '"schema_version":2'))
    for opened in (lambda: TrajectoryReader(tmp_path).ids, lambda: TrajectoryWriter(tmp_path)):
        with pytest.raises(LogError, match=r"schema version 2, this AgentQ reads up to 1. Upgrade"):
            opened()


def test_second_writer_is_refused_and_names_the_first(tmp_path: Path, trajectory: Build) -> None:
    child = _child(ENDLESS_WRITER, str(tmp_path))
    try:
        assert child.stdout is not None
        child.stdout.readline()
        with pytest.raises(LogError, match=rf"being written by process {child.pid}\."):
            TrajectoryWriter(tmp_path)
    finally:
        child.kill()
        child.communicate()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LogDamageWarning)
        with TrajectoryWriter(tmp_path) as writer:  # the lock died with its process
            assert len(writer) >= 1
            with pytest.raises(LogError, match=f"process {os.getpid()}"):
                TrajectoryWriter(tmp_path)


def test_closed_writer_says_so(tmp_path: Path, trajectory: Build) -> None:
    writer = TrajectoryWriter(tmp_path)
    writer.close()
    writer.close()
    with pytest.raises(LogError, match="closed for writing"):
        writer.write(trajectory(0))


FULL_DISK = """
import resource, sys
from agentq.errors import LogError
from agentq.trajectories import TrajectoryWriter
from agentq.types import Trajectory
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
with TrajectoryWriter(sys.argv[1]) as writer:
    writer.write(Trajectory("small", 0, ()))
    try:
        writer.write(Trajectory("big", 0, (), "", {"x": "y" * 5000}))
    except LogError as error:
        print(error)
    writer.write(Trajectory("fits again", 0, ()))
"""


def test_full_disk_raises_and_keeps_the_log(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    child = _child(FULL_DISK, str(tmp_path))
    out, err = child.communicate()
    assert child.returncode == 0, err
    assert "could not write episode '1'" in out
    assert "Free disk space" in out
    reader = TrajectoryReader(tmp_path)
    assert [episode.trajectory.task for episode in reader] == ["small", "fits again"]
    assert reader.damages == ()
