"""A suite from end to end, in this process and in others."""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentq.errors import ConfigError, EvaluationError, LogError, TaskError
from agentq_eval.offline.replay import replay
from agentq_eval.running.run import RunSettings, workers_for
from agentq_eval.runs.manifest import read_manifest
from agentq_eval.runs.reader import RunReader
from agentq_eval.runs.writer import RunWriter, read_sessions
from agentq_eval.suites.suite import ArmSpec, PanelSpec, Suite, Timeouts

Playing = Callable[..., RunReader]
Content = Callable[[Path], dict[str, Any]]
TWO = RunSettings("process", 2, slots=5, progress=False)


def test_every_planned_episode_ends_once_and_is_labelled(
    suite: Suite, playing: Playing, tmp_path: Path
) -> None:
    run = playing(suite, tmp_path)
    results = run.results()
    assert len(results) == run.manifest.planned == 12 * 2 * 6
    assert Counter((r.arm, r.n) for r in results) == {(a.name, a.n): 24 for a in run.manifest.arms}
    assert {r.outcome for r in results} == {"finished"}
    assert any(r.truncated for r in results)
    scores = {(a.name, a.n): 0.0 for a in run.manifest.arms}
    for result in results:
        scores[result.arm, result.n] += result.score
        assert result.samples == result.n * result.steps
    assert scores["greedy", 1] == 24 > scores["best_of_n", 4] > scores["sampled", 1]
    for _, trajectory in run.played():
        for step in trajectory.steps:
            assert step.labels is not None
            assert step.labels.shape == step.decision.q.shape
            assert set(step.timings) == {"decide", "tokens", "env"}


def test_arms_that_search_trees_are_played_and_left_out_of_replay(
    suite: Suite, playing: Playing, tmp_path: Path
) -> None:
    short = {"iterations": 12, "max_depth": 8}
    by_critic = {**short, "plan": "step", "guide": "puct", "values": "critic", "evaluation": "critic"}
    arms = (
        ArmSpec("sampled", n=(1,)),
        ArmSpec("lats", "tree_search", short, n=(3,)),
        ArmSpec("puct", "tree_search", by_critic, n=(3,), critic=True),
    )
    run = playing(replace(suite, arms=arms), tmp_path)
    scores: dict[str, list[float]] = {}
    for result in run.results():
        assert result.outcome == "finished"
        scores.setdefault(result.arm, []).append(result.score)
    assert sum(scores["lats"]) > sum(scores["sampled"])
    assert {step.decision.selector for _, t in run.played() for step in t.steps} == {"first", "tree_search"}
    report = replay(tmp_path)
    assert report.different == 0
    assert report.same > 0
    assert report.selectors["tree_search"] == sum(group.decisions for group in report.not_replayable) > 0
    assert all("playing it again" in group.reason for group in report.not_replayable)


def test_workers_and_slots_change_no_result(
    suite: Suite, playing: Playing, content: Content, tmp_path: Path
) -> None:
    playing(suite, tmp_path / "one", RunSettings("thread", 1, slots=1, progress=False))
    playing(suite, tmp_path / "many", RunSettings("thread", 1, slots=64, progress=False))
    playing(suite, tmp_path / "two", TWO)
    assert content(tmp_path / "one") == content(tmp_path / "many") == content(tmp_path / "two")


def test_a_run_goes_on_where_it_stopped(
    suite: Suite, playing: Playing, content: Content, tmp_path: Path
) -> None:
    playing(suite, tmp_path / "whole")
    shard = tmp_path / "whole" / "log" / "shard-00000.jsonl"
    half = tmp_path / "half"
    (half / "log").mkdir(parents=True)
    (half / "run.json").write_bytes((tmp_path / "whole" / "run.json").read_bytes())
    (half / "log" / shard.name).write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    with pytest.warns(UserWarning, match="repaired log"):
        playing(suite, half)
    assert content(half) == content(tmp_path / "whole")
    playing(suite, half)  # complete: nothing more is played
    assert content(half) == content(tmp_path / "whole")
    starts = [event["done"] for event in read_sessions(half)]
    assert 0 < starts[0] < starts[1] == read_manifest(half).planned


def test_the_manifest_says_what_was_played(suite: Suite, playing: Playing, tmp_path: Path) -> None:
    plan = playing(suite, tmp_path).manifest
    assert plan.environment["data_hash"] == "corridor-1"
    assert plan.arms[2].fingerprints == {"critic": "noisy-critic-1"}
    assert plan.arms[2].options == {"selector": {"temperature": 0.5}, "policy": {"temperature": 1.0}}
    assert (plan.tasks, plan.seeds) == (suite.panel.tasks, (0, 1))
    (start,) = read_sessions(tmp_path)
    assert {"agentq", "packages", "git", "command", "python"} <= set(start["provenance"])
    stored = json.loads((tmp_path / "run.json").read_text())
    assert stored["suite_hash"] == plan.suite_hash
    assert stored["planned"] == 144


def test_another_evaluation_in_the_same_folder_is_refused(
    suite: Suite, playing: Playing, tmp_path: Path
) -> None:
    playing(suite, tmp_path)
    with pytest.raises(EvaluationError, match=r"seeds: \[0, 1\] != \[0\]"):
        playing(replace(suite, seeds=(0,)), tmp_path)
    edited = (tmp_path / "run.json").read_text().replace('"t3"', '"t33"')
    (tmp_path / "run.json").write_text(edited)
    with pytest.raises(EvaluationError, match="it was edited"):
        playing(suite, tmp_path)
    (tmp_path / "run.json").unlink()
    with pytest.raises(EvaluationError, match=r"144 logged episodes but no run.json"):
        playing(suite, tmp_path)


def test_two_writers_of_one_run_are_refused(suite: Suite, playing: Playing, tmp_path: Path) -> None:
    with RunWriter(tmp_path), pytest.raises(LogError, match="is being written by process"):
        playing(suite, tmp_path)
    assert len(playing(suite, tmp_path).results()) == 144


def test_a_run_of_a_newer_version_is_refused(suite: Suite, playing: Playing, tmp_path: Path) -> None:
    playing(suite, tmp_path)
    plan = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**plan, "schema_version": 99}))
    with pytest.raises(LogError, match=r"version 99.*Upgrade"):
        RunReader(tmp_path)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"panel": PanelSpec(name="nice")}, TaskError, "Corridor ships no panels"),
        ({"panel": PanelSpec(tasks=("t1",), hash="00ff")}, TaskError, "was frozen with 00ff"),
        ({"panel": PanelSpec(tasks=("t1",), first=2)}, TaskError, "has 1 tasks, expected at least 2"),
        ({"panel": PanelSpec(tasks=("t1", "t1"))}, TaskError, "names a task twice"),
        (
            {"arms": (ArmSpec("odd", agent="corridor:nobody"),)},
            ConfigError,
            "'corridor:nobody' does not import",
        ),
    ],
)
def test_what_cannot_be_played_is_said_before_the_first_episode(
    suite: Suite, playing: Playing, tmp_path: Path, change: dict[str, Any], error: type[Exception], words: str
) -> None:
    for settings in (None, TWO):
        with pytest.raises(error, match=words):
            playing(replace(suite, **change), tmp_path, settings)
    assert not (tmp_path / "run.json").exists()


def test_a_whole_agent_can_be_an_arm(
    suite: Suite, playing: Playing, content: Content, tmp_path: Path
) -> None:
    arms = (ArmSpec("own", agent="corridor:agent", n=(4,)),)
    run = playing(replace(suite, arms=arms, labels="none"), tmp_path)
    assert {r.outcome for r in run.results()} == {"finished"}
    assert all(step.labels is None for _, t in run.played() for step in t.steps)


def test_an_episode_that_takes_too_long_in_all_has_timed_out(
    suite: Suite, playing: Playing, tmp_path: Path
) -> None:
    slow = replace(
        suite, arms=(ArmSpec("slow", agent="corridor:Sleeper", n=(4,)),), seeds=(0,),
        panel=PanelSpec(tasks=("t0",)), timeouts=Timeouts(step=30, episode=0.15),
    )  # fmt: skip
    (result,) = playing(slow, tmp_path).results()
    assert (result.outcome, result.steps, result.score) == ("timed_out", 2, 0.0)
    assert "its limit is 0.15 s" in result.error


def test_a_clock_that_jumps_changes_nothing(
    suite: Suite, playing: Playing, content: Content, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    playing(suite, tmp_path / "steady")
    jumps = itertools.cycle([1e9, 0.0, 2e9, -5.0])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    run = playing(replace(suite, timeouts=Timeouts(step=5, episode=5)), tmp_path / "jumping")
    assert {r.outcome for r in run.results()} == {"finished"}
    assert all(0 <= r.seconds < 5 for r in run.results())
    assert content(tmp_path / "jumping") == content(tmp_path / "steady")


def test_workers_are_counted_or_refused() -> None:
    assert workers_for(RunSettings("process", 3)) == 3
    assert workers_for(RunSettings("process")) >= 1
    assert workers_for(RunSettings("thread")) == 1
    for bad in (RunSettings("thread", 2), RunSettings(workers=-1), RunSettings(slots=0)):
        with pytest.raises(ConfigError):
            workers_for(bad)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system ties no process to cores")
def test_a_process_tied_to_one_core_has_one_worker() -> None:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert workers_for(RunSettings("process")) == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert workers_for(RunSettings("process")) in (1, min(len(allowed), 4))  # 1 beside an accelerator


def test_no_thread_stays_behind(suite: Suite, playing: Playing, tmp_path: Path) -> None:
    before = threading.active_count()
    playing(suite, tmp_path)
    assert threading.active_count() == before
