"""Preference pairs of labelled logs: which candidates, and where they came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agentq.errors import ConfigError, TrainingError
from agentq.search.pairs import PROVENANCE, pairs_hash
from agentq.training.logged_pairs import LoggedPairSettings, write_logged_pairs
from agentq.trajectories import TrajectoryReader, TrajectoryWriter
from agentq.types import Candidate, Decision, Step, Trajectory

NAN = float("nan")
A, B, C = (Candidate(f"Action: {name}", name, count=number) for number, name in enumerate("abc", start=1))
JUNK = Candidate("??", None, "no action")


def step(number: int, candidates: Sequence[Candidate], labels: Sequence[float] | None) -> Step:
    n = len(candidates)
    page = ({"role": "user", "content": f"page {number}"},)
    decision = Decision(tuple(candidates), np.zeros(n), np.ones(n) / n, 0)
    return Step(page, decision, 0.0, False, False, labels=None if labels is None else np.array(labels))


@pytest.fixture
def log(tmp_path: Path) -> TrajectoryReader:
    steps = (
        step(0, [A, JUNK, B, C], [0.5, NAN, 1.0, 0.25]),
        step(1, [A, B], [0.25, 0.25]),
        step(2, [A, B], None),
        step(3, [B], [1.0]),
    )
    with TrajectoryWriter(tmp_path / "log") as writer:
        writer.write(Trajectory("t0", 7, steps))
    return TrajectoryReader(tmp_path / "log")


def named(log: TrajectoryReader, folder: Path, settings: LoggedPairSettings) -> list[tuple[str, str]]:
    rows = write_logged_pairs([log], folder, settings)
    return [(row["chosen"][0]["content"][-1], row["rejected"][0]["content"][-1]) for row in rows]


def test_rules_and_gaps(log: TrajectoryReader, tmp_path: Path) -> None:
    every = LoggedPairSettings(minimum_gap=0.0)
    assert sorted(named(log, tmp_path / "a", every)) == [("a", "c"), ("b", "a"), ("b", "c")]
    assert named(log, tmp_path / "b", LoggedPairSettings("extremes")) == [("b", "c")]
    assert sorted(named(log, tmp_path / "c", LoggedPairSettings(minimum_gap=0.4))) == [("b", "a"), ("b", "c")]


def test_a_limit_draws_by_the_seed(log: TrajectoryReader, tmp_path: Path) -> None:
    drawn = {
        tuple(named(log, tmp_path / str(seed), LoggedPairSettings(at_most=1, seed=seed)))
        for seed in range(12)
    }
    assert drawn == {(("a", "c"),), (("b", "a"),), (("b", "c"),)}


def test_a_row_says_where_it_is_from(log: TrajectoryReader, tmp_path: Path) -> None:
    rows = write_logged_pairs([log], tmp_path / "pairs", LoggedPairSettings("extremes"))
    assert rows[0] == {
        "prompt": [{"role": "user", "content": "page 0"}],
        "chosen": [{"role": "assistant", "content": "Action: b"}],
        "rejected": [{"role": "assistant", "content": "Action: c"}],
        "chosen_action": "b",
        "rejected_action": "c",
        "task": "t0",
        "seed": 7,
        "depth": 1,
        "chosen_value": 1.0,
        "rejected_value": 0.25,
        "chosen_visits": 2,
        "rejected_visits": 3,
    }
    about = json.loads((tmp_path / "pairs" / PROVENANCE).read_text())
    assert about["logs"] == ["log"]
    shard = tmp_path / "log" / "shard-00000.jsonl"
    assert about["logs_sha256"] == [hashlib.sha256(shard.read_bytes()).hexdigest()]
    assert about["pairs"] == 1
    assert about["settings"]["rule"] == "extremes"
    assert about["rows_sha256"] == pairs_hash(list(rows))


def test_a_log_without_pairs_is_refused(log: TrajectoryReader, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="1 logs have no preference pair"):
        write_logged_pairs([log], tmp_path / "pairs", LoggedPairSettings(minimum_gap=0.9))
    with pytest.raises(ConfigError, match="extremes"):
        replace(LoggedPairSettings(), rule="best")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="minimum_gap=-1"):
        LoggedPairSettings(minimum_gap=-1)
