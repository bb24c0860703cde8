from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agentq.errors import EvaluationError, LogError
from agentq_eval.runs.reader import RunReader
from agentq_eval.viewer.index import LogIndex
from agentq_eval.viewer.sources import find_sources

Make = Callable[..., Path]


def test_the_index_says_what_a_full_reading_says(make_run: Make, tmp_path: Path) -> None:
    folder = make_run(tmp_path)
    index = LogIndex(folder / "log")
    index.refresh()
    expected = {
        e.id: (r.task, r.seed, f"{r.arm}@{r.n}", r.outcome, r.steps, r.score, r.success, r.truncated, r.error)
        for e, (r, _) in zip(RunReader(folder).log, RunReader(folder).attempts(), strict=True)
    }
    found = {
        e.id: (e.task, e.seed, e.arm, e.outcome, e.steps, e.score, e.success, e.truncated, e.error)
        for e in index.entries
    }
    assert found == expected
    assert len(found) == 20
    assert {e.outcome for e in index.entries} == {"finished", "failed"}
    assert any(e.success for e in index.entries)
    for entry in index.entries:
        assert index.trajectory(entry.id).task == entry.task


def test_only_what_is_new_is_read(
    make_run: Make, append: Callable[[Path, int], None], tmp_path: Path
) -> None:
    folder = make_run(tmp_path, played=5)
    index = LogIndex(folder / "log")
    index.refresh()
    first = list(index.entries)
    append(folder, 3)
    index.refresh()
    assert index.entries[:5] == first
    assert [e.task for e in index.entries[5:]] == ["t100", "t101", "t102"]
    assert [row[1] for row in index.rows(6)] == ["t101", "t102"]


def test_a_torn_tail_is_told_and_read_when_it_is_whole(make_run: Make, tmp_path: Path) -> None:
    shard = make_run(tmp_path) / "log" / "shard-00000.jsonl"
    whole = shard.read_bytes()
    for cut in (10, 300, 2000):
        shard.write_bytes(whole[:-cut])
        index = LogIndex(shard.parent)
        index.refresh()
        assert 0 < len(index.entries) < 20
        assert "belong to no complete episode" in index.notices()[0]
        shard.write_bytes(whole)
        index.refresh()
        assert len(index.entries) == 20
        assert index.notices() == []


def test_damage_inside_harms_its_episode_alone(make_run: Make, tmp_path: Path) -> None:
    shard = make_run(tmp_path) / "log" / "shard-00000.jsonl"
    data = shard.read_bytes()
    at = data.index(b"page 1 of t5")
    shard.write_bytes(data[:at] + b"PAGE" + data[at + 4 :])
    index = LogIndex(shard.parent)
    index.refresh()
    assert len(index.entries) == 20
    with pytest.raises(LogError, match="checksum does not match"):
        index.trajectory("sampled@1|t5#0")
    assert index.trajectory("sampled@1|t6#0").task == "t6"
    (damage,) = index.damages()
    assert damage.episodes == ("sampled@1|t5#0",)


def test_runs_and_logs_are_found_in_a_folder(make_run: Make, tmp_path: Path) -> None:
    make_run(tmp_path / "a")
    make_run(tmp_path / "deep" / "er" / "b")
    sources = find_sources(tmp_path)
    assert sorted(sources) == ["a", "deep/er/b"]
    assert list(find_sources(tmp_path / "a")) == [""]
    bare = find_sources(tmp_path / "a" / "log")[""]
    assert bare.plan is None
    assert bare.about()["episodes"] == 20
    (tmp_path / "empty").mkdir()
    with pytest.raises(EvaluationError, match="holds neither a run"):
        find_sources(tmp_path / "empty")
