from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentq.errors import EvaluationError
from agentq_eval.commands.report import run as run_report_command
from agentq_eval.episodes import EpisodeResult
from agentq_eval.reports import ReportSettings, build_report, headline, rebuild_report, write_report
from agentq_eval.reports.labels import interval
from agentq_eval.reports.page import render_html
from agentq_eval.reports.summary import summary

QUICK = ReportSettings(repetitions=500)
LEVELS = {"sampled": 0.3, "greedy": 0.35, "majority": 0.4, "softmax": 0.55, "best_of_n": 0.7, "oracle": 0.85}


def episode(arm: str, n: int, task: int, seed: int = 0, score: float | None = None) -> EpisodeResult:
    rng = np.random.default_rng([task, seed])
    level = LEVELS[arm] - (0.1 if n == 2 else 0.0)
    value = float(rng.random() < level) if score is None else score
    cut = task % 5 == 0
    return EpisodeResult(arm, n, f"shop/{task}", seed, value, value == 1, 6, 0.3, 120, 6, "finished", cut)


def episodes(tasks: int = 40, seeds: int = 1) -> list[EpisodeResult]:
    cells = [(arm, n) for arm in LEVELS for n in ((1,) if arm in ("sampled", "greedy") else (2, 8))]
    return [episode(arm, n, task, seed) for arm, n in cells for task in range(tasks) for seed in range(seeds)]


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    return build_report(episodes(seeds=2), {"title": "A <test>", "config": {"n": 8}}, QUICK)


def test_pinned_keys(report: dict[str, Any]) -> None:
    assert list(report["arms"]) == ["sampled", "greedy", "majority", "softmax", "best_of_n", "oracle"]
    for arm in report["arms"].values():
        assert set(arm["score"]) == {"mean", "low", "high", "n"}
        assert set(arm["success"]) == {"rate", "low", "high", "n"}
        assert arm["score"]["low"] < arm["score"]["mean"] < arm["score"]["high"]
        assert arm["seconds_per_decision"] == pytest.approx(0.05)
        assert arm["tokens_per_decision"] == 20
    assert {"relative", "low", "high"} <= set(report["gain"])
    assert {"value", "low", "high"} <= set(report["oracle_gap_closed"])
    assert report["schema_version"] == 2
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_numbers_are_those_of_the_episodes(report: dict[str, Any]) -> None:
    means = {name: arm["score"]["mean"] for name, arm in report["arms"].items()}
    base = max(means["sampled"], means["greedy"])
    assert report["gain"]["base"] == "greedy"
    assert report["gain"]["relative"] == pytest.approx(means["best_of_n"] / base - 1)
    share = (means["best_of_n"] - base) / (means["oracle"] - base)
    assert report["oracle_gap_closed"]["value"] == pytest.approx(share)
    assert report["main_n"] == 8
    assert report["tasks"] == 40
    assert report["seeds"] == [0, 1]
    pair = next(p for p in report["paired"] if (p["arm"], p["base"]) == ("best_of_n", "sampled"))
    assert pair["score"]["difference"] == pytest.approx(means["best_of_n"] - means["sampled"])
    assert len(report["paired"]) == 15


def test_episodes_without_a_plan_are_all_accounted_for(report: dict[str, Any]) -> None:
    for row in report["accounting"]["arms"]:
        assert row["planned"] == 80 == row["finished"] == row["compared"]
        assert row["truncated"] == 16
    assert report["accounting"]["total"]["planned"] == 80 * 10


def test_the_curve_starts_at_one_sample(report: dict[str, Any]) -> None:
    curve = report["curve"]
    assert [point["n_candidates"] for point in curve["best_of_n"]] == [1, 2, 8]
    assert curve["best_of_n"][0] == curve["sampled"][0]
    assert [point["n_candidates"] for point in curve["greedy"]] == [1]


def test_order_of_episodes_does_not_matter() -> None:
    shuffled = episodes()
    np.random.default_rng(0).shuffle(shuffled)  # pyright: ignore[reportArgumentType]
    assert build_report(shuffled, settings=QUICK) == build_report(episodes(), settings=QUICK)


def without(arm: str) -> list[EpisodeResult]:
    return [e for e in episodes(3) if e.arm != arm]


def changed(**values: Any) -> Callable[[], list[EpisodeResult]]:
    return lambda: [dataclasses.replace(episodes(3)[0], **values), *episodes(3)[1:]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (list[EpisodeResult], "no episodes to report"),
        (lambda: episodes(3)[1:], "task 'shop/0', seed 0 is in one only"),
        (lambda: [*episodes(3), episodes(3)[-1]], "one episode is there twice"),
        (lambda: [episodes(3)[0], *episodes(3)], "'sampled' at N=1 has task 'shop/0', seed 0 twice"),
        (changed(score=1.5), r"score 1.5 is outside \[0, 1\]"),
        (changed(score=float("nan")), "score nan is outside"),
        (changed(outcome="lost"), "outcome 'lost' is none of finished, failed"),
        (changed(seconds=float("inf")), "seconds inf cannot be"),
        (changed(n=0), "n=0"),
    ],
)
def test_what_cannot_be_compared_is_refused(make: Callable[[], list[EpisodeResult]], message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        build_report(make(), settings=QUICK)


def test_no_arm_has_to_exist_and_what_is_missing_is_said() -> None:
    report = build_report(without("oracle"), settings=QUICK)
    assert report["oracle_gap_closed"]["value"] is None
    assert report["oracle_gap_closed"]["reason"] == "no arm 'oracle' was played"
    assert "oracle" not in headline(report)

    report = build_report([e for e in episodes(30) if e.arm in ("majority", "softmax")], settings=QUICK)
    assert list(report["arms"]) == ["majority", "softmax"]
    assert report["gain"]["relative"] is None
    assert report["gain"]["reason"] == "no arm 'best_of_n' was played"
    assert report["notable"] is None
    assert {row["base"] for row in report["differences"]} == {"majority"}
    assert "the highest of 2 arms" in headline(report)
    assert "undefined: no arm" in render_html(report)

    with pytest.raises(EvaluationError, match=r"N=4 \(it was played at \[2, 8\]\)"):
        build_report(episodes(3), settings=ReportSettings(main_n=4))
    with pytest.raises(EvaluationError, match="no episodes of oracle"):
        build_report(without("oracle"), settings=ReportSettings(required=("oracle",)))


def test_roles_are_settings() -> None:
    settings = ReportSettings(method="softmax", bases=("majority",), repetitions=200)
    report = build_report(episodes(), settings=settings)
    means = {name: arm["score"]["mean"] for name, arm in report["arms"].items()}
    assert report["gain"]["relative"] == pytest.approx(means["softmax"] / means["majority"] - 1)
    assert headline(report).startswith("Softmax by Q of 8 scores")
    with pytest.raises(EvaluationError, match="gain nothing over itself"):
        ReportSettings(method="greedy")


def test_an_arm_that_was_not_played_at_the_main_n_is_there_with_its_nearest() -> None:
    results = [e for e in episodes(10) if (e.arm, e.n) not in (("majority", 8), ("softmax", 2))]
    report = build_report(results, settings=ReportSettings(main_n=2, repetitions=100))
    assert {name: arm["n_candidates"] for name, arm in report["arms"].items()} == {
        "sampled": 1, "greedy": 1, "majority": 2, "softmax": 8, "best_of_n": 2, "oracle": 2,
    }  # fmt: skip


def test_all_failed_and_all_solved_keep_an_interval() -> None:
    scores = {"sampled": 0.0, "greedy": 0.0, "best_of_n": 1.0}
    results = [
        episode(a, 8 if a == "best_of_n" else 1, t, score=s) for a, s in scores.items() for t in range(50)
    ]
    report = build_report(results, settings=ReportSettings(repetitions=100))
    assert report["arms"]["sampled"]["score"]["high"] == pytest.approx(0.0713, abs=1e-4)
    assert report["arms"]["best_of_n"]["success"]["low"] == pytest.approx(0.9287, abs=1e-4)
    assert report["gain"]["relative"] is None  # nothing can be said relative to zero
    assert "undefined" in headline(report)


def test_one_task_has_no_interval() -> None:
    report = build_report(episodes(1), settings=QUICK)
    assert report["arms"]["sampled"]["score"]["low"] is None
    assert "[no interval]" in render_html(report)
    assert interval({"low": 0.1, "high": None}) == "[10.0%, no limit]"


def test_written_files_and_their_rebuilding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "new" / "run"
    report = write_report(episodes(), directory, {"provenance": {"agentq": "0"}}, QUICK)
    assert json.loads((directory / "report.json").read_text()) == report
    for name in ("gain.png", "curve.png"):
        assert (directory / name).read_bytes().startswith(b"\x89PNG")
    html = (directory / "report.html").read_text()
    (directory / "report.html").unlink()
    assert rebuild_report(directory) == report
    assert (directory / "report.html").read_text() == html

    assert run_report_command(argparse.Namespace(directory=directory)) == 0
    assert headline(report) in capsys.readouterr().out
    assert summary(report).splitlines()[-1] == (
        "episodes planned: 400 (400 finished, 0 failed, 0 timed out, 0 lost to infrastructure; 0 retried)"
    )


def test_broken_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"cannot read .*episodes\.jsonl"):
        rebuild_report(tmp_path)
    (tmp_path / "episodes.jsonl").write_text('{"arm": "sampled"}\n')
    with pytest.raises(EvaluationError, match="line 1: expected the keys arm, attempts, decisions"):
        rebuild_report(tmp_path)
    (tmp_path / "episodes.jsonl").write_text("{")
    with pytest.raises(EvaluationError, match="line 1 is no JSON"):
        rebuild_report(tmp_path)
    write_report(episodes(2), tmp_path / "run", settings=QUICK)
    (tmp_path / "run" / "report.json").write_text("{}")
    with pytest.raises(EvaluationError, match="is no report of this version"):
        rebuild_report(tmp_path / "run")


def test_metadata_that_is_no_json_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="metadata is no JSON"):
        write_report(episodes(2), tmp_path / "run", {"path": tmp_path}, QUICK)
    assert not (tmp_path / "run").exists()
