from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentq.errors import EvaluationError
from agentq.trajectories import TrajectoryReader, TrajectoryWriter
from agentq_eval.reports import ReportSettings, rebuild_report, report_of_run, write_run_report
from agentq_eval.reports.accounting import Account
from agentq_eval.reports.summary import summary
from agentq_eval.runs.reader import RunReader

MakeRun = Callable[..., Path]


@pytest.fixture(scope="module")
def troubled(troubled_folder: Path) -> dict[str, Any]:
    return report_of_run(troubled_folder)


def account(report: dict[str, Any], arm: str, n: int) -> dict[str, Any]:
    return next(row for row in report["accounting"]["arms"] if (row["arm"], row["n_candidates"]) == (arm, n))


def test_a_clean_run_is_all_finished(run_folder: Path) -> None:
    report = report_of_run(run_folder)
    total = report["accounting"]["total"]
    assert (total["planned"], total["finished"], total["compared"]) == (100, 100, 100)
    assert report["sensitivity"] == {"episodes": 0, "rule": "retried = failed", "arms": None, "gain": None}
    assert report["failures"] == []
    assert list(report["arms"]) == ["sampled", "greedy", "best_of_n", "oracle"]
    assert [point["n_candidates"] for point in report["curve"]["best_of_n"]] == [1, 2, 4]
    assert report["metadata"]["suite_hash"] == RunReader(run_folder).manifest.suite_hash
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_every_planned_episode_is_accounted_for(troubled: dict[str, Any]) -> None:
    for row in troubled["accounting"]["arms"]:
        parts = ("finished", "failed", "timed_out", "infrastructure", "pending")
        assert row["planned"] == 20 == sum(row[part] for part in parts)
    assert account(troubled, "best_of_n", 4)["failed"] == 1
    assert account(troubled, "best_of_n", 4)["timed_out"] == 1
    assert account(troubled, "greedy", 1)["infrastructure"] == 1
    assert account(troubled, "greedy", 1)["retries"] == 2
    assert account(troubled, "sampled", 1)["retried"] == 1


def test_a_lost_episode_is_left_out_of_every_arm(troubled: dict[str, Any]) -> None:
    assert {arm["score"]["n"] for arm in troubled["arms"].values()} == {19}
    assert [row["left_out"] for row in troubled["accounting"]["arms"]] == [1, 0, 1, 1, 1]
    assert {row["score"]["n"] for row in troubled["paired"]} == {19}
    assert troubled["tasks"] == 19


def test_failed_and_timed_out_episodes_count_with_their_score(
    troubled: dict[str, Any], troubled_folder: Path
) -> None:
    results = RunReader(troubled_folder).results()
    kept = [r.score for r in results if (r.arm, r.n) == ("best_of_n", 4) and r.task != "shop/2"]
    assert troubled["arms"]["best_of_n"]["score"]["mean"] == pytest.approx(sum(kept) / 19)


def test_retried_as_failed_counts_every_retried_or_lost_episode_as_zero(
    troubled: dict[str, Any], troubled_folder: Path
) -> None:
    rows = {(row["arm"], row["n_candidates"]): row for row in troubled["sensitivity"]["arms"]}
    assert troubled["sensitivity"]["episodes"] == 2
    results = [r for r in RunReader(troubled_folder).results() if r.arm == "sampled"]
    harsh = sum(r.score for r in results if r.task != "shop/3") / 20
    assert rows["sampled", 1]["score"]["mean"] == pytest.approx(harsh)
    assert rows["sampled", 1]["score"]["n"] == 20
    assert rows["greedy", 1]["episodes"] == 1
    assert troubled["sensitivity"]["gain"]["relative"] is not None


def test_failures_are_sorted_by_kind_with_examples(troubled: dict[str, Any], troubled_folder: Path) -> None:
    kinds = {(row["outcome"], row["kind"]): row for row in troubled["failures"]}
    assert set(kinds) == {
        ("failed", "ValueError in step"),
        ("timed_out", "the episode took … s, its limit is … s"),
        ("infrastructure", "ConnectionError in decide"),
        ("retried", "ConnectionError in decide"),
    }
    assert kinds["retried", "ConnectionError in decide"]["count"] == 3  # two before the loss, one made good
    assert kinds["infrastructure", "ConnectionError in decide"]["arms"] == {"greedy@1": 1}
    log = TrajectoryReader(troubled_folder / "log")
    for row in troubled["failures"]:
        for example in row["examples"]:
            assert log[example["episode"]].metadata["error"] == example["error"]


def test_an_unfinished_run_counts_what_is_pending(make_run: MakeRun) -> None:
    missing = {f"best_of_n@4|shop/{task}#0": None for task in range(5)}
    report = report_of_run(make_run(None, missing))
    assert account(report, "best_of_n", 4)["pending"] == 5
    assert report["accounting"]["total"]["planned"] == 100
    assert report["arms"]["best_of_n"]["score"]["n"] == 15
    assert report["arms"]["greedy"]["score"]["n"] == 20
    pair = next(p for p in report["paired"] if (p["arm"], p["base"]) == ("best_of_n", "greedy"))
    assert pair["score"]["n"] == 15


def test_an_arm_that_has_not_begun_takes_nothing_from_the_others(make_run: MakeRun) -> None:
    missing = {f"oracle@4|shop/{task}#0": None for task in range(20)}
    report = report_of_run(make_run(None, missing))
    assert "oracle" not in report["arms"]
    assert account(report, "oracle", 4)["pending"] == 20
    assert report["oracle_gap_closed"]["reason"] == "no arm 'oracle' was played"
    assert report["gain"]["n"] == 20


def test_an_arm_that_lost_everything_takes_nothing_from_the_others(make_run: MakeRun) -> None:
    gone = {f"oracle@4|shop/{task}#0": [{"outcome": "infrastructure", "error": "x"}] for task in range(20)}
    report = report_of_run(make_run(None, gone))
    assert account(report, "oracle", 4)["infrastructure"] == 20
    assert report["arms"]["greedy"]["score"]["n"] == 20


def test_episodes_of_another_plan_are_refused(run_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder)
    episode = TrajectoryReader(run_folder / "log")["greedy@1|shop/0#0"]
    with TrajectoryWriter(folder / "log") as writer:
        writer.write(type(episode)("shop/99", 0, episode.steps, "stub-v0", episode.metadata), "odd")
    with pytest.raises(
        EvaluationError, match=r"'greedy@1' has task 'shop/99', seed 0, which the plan does not"
    ):
        report_of_run(folder)


def test_an_account_that_does_not_add_up_is_refused() -> None:
    with pytest.raises(EvaluationError, match=r"10 episodes were planned, but 8 finished \+ 1 failed .* = 9"):
        Account(10, 8, 1, 0, 0, 0, 0, 0, 0, 0, 9)


def test_values_are_calibrated_ranked_and_regretted(run_folder: Path) -> None:
    rows = {row["n_candidates"]: row for row in report_of_run(run_folder)["values"]}
    assert set(rows) == {2, 4}  # arms with a critic: the oracle's own values need no belief
    for row in rows.values():
        against = {one["against"]: one for one in row["calibration"]}
        assert against["return"]["n"] == 60
        assert against["label"]["n"] == 60 * row["n_candidates"]
        assert against["label"]["ece"] < against["return"]["ece"]  # rewards are not what Q was made of
        assert sum(one["count"] for one in against["label"]["bins"]) == against["label"]["n"]
        assert row["rank_correlation"]["value"] > 0.5
        assert row["selective_regret"]["value"] < row["selective_regret"]["random"]


def test_cost_is_per_point_over_the_base(run_folder: Path) -> None:
    report = report_of_run(run_folder)
    row = next(r for r in report["cost"] if (r["arm"], r["n_candidates"]) == ("best_of_n", 4))
    means = {name: arm["score"]["mean"] for name, arm in report["arms"].items()}
    assert row["points"] == pytest.approx(100 * (means["best_of_n"] - means[row["base"]]))
    assert row["extra_tokens_per_episode"] == pytest.approx(3 * 400 - 3 * 100)
    assert row["tokens_per_point"] == pytest.approx(900 / row["points"])


def test_the_roles_come_from_the_suite_and_stay(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run()
    report = write_run_report(folder, ReportSettings(method="best_of_n", bases=("greedy",), repetitions=200))
    assert report["gain"]["base"] == "greedy"
    again = rebuild_report(folder)
    assert again == report
    for name in ("report.html", "report.json", "episodes.jsonl", "gain.png", "curve.png"):
        assert (folder / name).stat().st_size > 500


def test_a_run_without_episodes_says_so(tmp_path: Path, make_run: MakeRun) -> None:
    folder = make_run()
    shutil.rmtree(folder / "log")
    with pytest.raises(EvaluationError, match="no episodes to report"):
        report_of_run(folder)
    with pytest.raises(EvaluationError, match="Expected the folder of a run"):
        report_of_run(tmp_path)


def sections_of(page: str) -> set[str]:
    names = ("summary", "differences", "curve", "values", "cost", "accounting", "traces", "provenance")
    return {name for name in names if f'<section id="{name}"' in page}


def test_a_suites_metrics_are_the_sections_of_its_report(make_run: MakeRun) -> None:
    trouble = {"best_of_n@4|shop/0#0": [{"outcome": "failed", "error": "step: ValueError: no such button"}]}
    always = {"summary", "accounting", "provenance"}
    found: dict[tuple[str, ...], set[str]] = {}
    for metrics in ((), ("cost",), ("gain", "curve"), ("values", "failures")):
        folder = make_run(altered=trouble, metrics=list(metrics))
        report = write_run_report(folder)
        page = (folder / "report.html").read_text(encoding="utf-8")
        found[metrics] = sections_of(page)
        assert (folder / "curve.png").exists() == ("curve" in metrics)
        assert ("Failures by kind" in page) == bool(report["failures"]) == ("failures" in metrics)
        assert bool(report["values"]) == ("values" in metrics)
        assert bool(report["cost"]) == ("cost" in metrics)
        assert ("gain" in summary(report)) == (report["gain"]["relative"] is not None) == ("gain" in metrics)
        assert report["accounting"]["total"]["planned"] == 100
        assert rebuild_report(folder) == report
    assert found == {
        (): always,
        ("cost",): always | {"cost"},
        ("gain", "curve"): always | {"differences", "curve", "traces"},
        ("values", "failures"): always | {"values"},
    }


def test_an_unknown_metric_is_refused_by_name() -> None:
    with pytest.raises(EvaluationError, match=r"metrics \['gian'\]: expected .* out of gain, curve"):
        ReportSettings(sections=("gian",))
