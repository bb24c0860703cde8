from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentq.errors import EvaluationError
from agentq_eval.commands import compare
from agentq_eval.reports import ReportSettings
from agentq_eval.reports.comparison import compare_runs
from agentq_eval.runs.manifest import PlannedArm
from agentq_eval.runs.reader import RunReader

MakeRun = Callable[..., Path]
QUICK = ReportSettings(repetitions=500)
CAREFUL = PlannedArm("careful", 1, "tiny", None, "first")


@pytest.fixture(scope="module")
def better(make_run: MakeRun, run_folder: Path) -> Path:
    """The same panel with another arm beside greedy, another critic, two tasks more."""
    plan = RunReader(run_folder).manifest
    arms = tuple(replace(arm, fingerprints={"critic": "d" * 64}) if arm.critic else arm for arm in plan.arms)
    more = tuple(f"shop/{task}" for task in range(22))
    return make_run(replace(plan, arms=(*arms, CAREFUL), tasks=more))


def test_a_run_equals_itself(run_folder: Path) -> None:
    found = compare_runs(run_folder, run_folder, settings=QUICK)
    assert found["panel"]["same"] is True
    assert [row["first"] for row in found["arms"]] == [
        "sampled@1", "greedy@1", "best_of_n@2", "best_of_n@4", "oracle@4",
    ]  # fmt: skip
    for row in found["arms"]:
        assert row["score"] == {"difference": 0, "low": 0, "high": 0, "n": 20}
        assert row["mcnemar_p"] == 1 == row["wilcoxon_p"]
        assert row["most_different"] == []
    assert found["provenance"] == []
    assert found["notices"] == [
        "Every episode scored the same in both runs: sampled@1, greedy@1, best_of_n@2, best_of_n@4, oracle@4."
    ]


def test_other_tasks_are_said_loudly_and_left_out(run_folder: Path, better: Path) -> None:
    found = compare_runs(run_folder, better, settings=QUICK)
    assert found["panel"] == {
        "same": False,
        "shared_tasks": 20,
        "only_first": 0,
        "only_second": 2,
        "same_hash": True,
        "shared_seeds": [0],
    }
    assert found["notices"][0].startswith("DIFFERENT TASKS: only the 20 shared ones are compared")
    assert {row["episodes"] for row in found["arms"]} == {20}
    assert found["unmatched"] == [[], ["careful@1"]]
    names = {row["name"]: (row["first"], row["second"]) for row in found["provenance"]}
    assert names["arms.best_of_n@4.fingerprints.critic"] == ("c" * 64, "d" * 64)


def test_arms_can_be_matched_by_name(run_folder: Path, better: Path) -> None:
    found = compare_runs(run_folder, better, ["greedy:careful", "best_of_n@4:best_of_n@2"], QUICK)
    first, second = found["arms"]
    scores: dict[tuple[str, int], dict[str, float]] = {}
    for folder in (run_folder, better):
        for r in RunReader(folder).results():
            scores.setdefault((r.arm, r.n), {})[r.task] = r.score
    tasks = [f"shop/{task}" for task in range(20)]
    expected = sum(scores["careful", 1][t] - scores["greedy", 1][t] for t in tasks) / 20
    assert (first["first"], first["second"]) == ("greedy@1", "careful@1")
    assert first["score"]["difference"] == pytest.approx(expected)
    assert first["won"] + first["lost"] + first["tied"] == 20
    assert first["minimum_detectable"] > 0
    assert (second["first"], second["second"]) == ("best_of_n@4", "best_of_n@2")
    changes = [abs(one["difference"]) for one in first["most_different"]]
    assert changes == sorted(changes, reverse=True)
    assert len(first["most_different"]) == first["won"] + first["lost"]


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        (["best_of_n"], "'best_of_n' was played with several N: it has sampled@1"),
        (["greedy:nobody"], "'nobody' is not in the run"),
    ],
)
def test_unclear_arms_are_refused(run_folder: Path, arms: list[str], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        compare_runs(run_folder, run_folder, arms, QUICK)


def test_runs_without_a_common_arm_or_task_are_refused(run_folder: Path, make_run: MakeRun) -> None:
    plan = RunReader(run_folder).manifest
    other_arm = make_run(replace(plan, arms=(CAREFUL,)))
    with pytest.raises(EvaluationError, match=r"no arm is in both runs.*--arms a:b"):
        compare_runs(run_folder, other_arm, settings=QUICK)
    other_tasks = make_run(replace(plan, tasks=("shop/77", "shop/78")))
    with pytest.raises(EvaluationError, match="no task and seed in common"):
        compare_runs(run_folder, other_tasks, settings=QUICK)


def test_an_episode_lost_in_either_run_is_left_out(run_folder: Path, troubled_folder: Path) -> None:
    found = compare_runs(run_folder, troubled_folder, settings=QUICK)
    assert {row["episodes"] for row in found["arms"]} == {19}


def run_command(*words: str) -> int:
    parser = argparse.ArgumentParser()
    compare.add_arguments(parser)
    return compare.run(parser.parse_args(words))


def test_the_command_prints_tables_or_json(
    run_folder: Path, better: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "150")
    assert run_command(str(run_folder), str(better), "--arms", "greedy:careful", "--examples", "2") == 0
    printed = capsys.readouterr().out
    for words in (
        "DIFFERENT TASKS",
        "greedy@1 : careful@1",
        "Most different tasks",
        "cccccccccccc → dddddddddddd",
    ):
        assert words in printed
    assert run_command(str(run_folder), str(better), "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert len(found["arms"]) == 5
