"""Reports on disk: made from a run or from a list of episodes, and made again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from agentq.errors import EvaluationError
from agentq_eval.episodes import EpisodeResult, read_results, write_results
from agentq_eval.reports.content import build_report
from agentq_eval.reports.evidence import Evidence, gather
from agentq_eval.reports.settings import Report, ReportSettings, settings_of
from agentq_eval.runs.manifest import FILE, Manifest
from agentq_eval.runs.reader import RunReader
from agentq_eval.runs.writer import read_sessions

GAMMA = 0.9  # of the returns that Q is compared with, where the suite names no discount


def report_of_run(folder: str | Path, settings: ReportSettings | None = None) -> Report:
    """The report of a run of ``agentq eval``, finished or still going; writes nothing.

    Without ``settings`` the roles of the arms are those of the suite (its key ``roles``). Raises
    ``EvaluationError`` where there is no run, nothing has ended yet, or the log does not fit the plan.
    """
    return _of_run(RunReader(folder), settings)[0]


def write_run_report(folder: str | Path, settings: ReportSettings | None = None) -> Report:
    """Write the report's files into the folder of a run and return it; raises as ``report_of_run``."""
    report, evidence = _of_run(RunReader(folder), settings)
    _write(report, evidence.results, Path(folder))
    return report


def write_report(
    results: Iterable[EpisodeResult],
    directory: Path,
    metadata: Mapping[str, Any] | None = None,
    settings: ReportSettings | None = None,
) -> Report:
    """Write ``episodes.jsonl``, ``report.json``, ``report.html``, ``gain.png`` and ``curve.png``.

    For episodes that are no run of ``agentq eval``. ``rebuild_report`` makes the same report again from the
    folder. Raises as ``build_report``, and ``EvaluationError`` when the metadata is no JSON; nothing is
    written then.
    """
    results = list(results)
    report = build_report(results, metadata, settings)
    _write(report, results, directory)
    return report


def rebuild_report(directory: Path) -> Report:
    """Write the report of a folder again; raises as ``report_of_folder``."""
    report, results = _of_folder(directory)
    _write(report, results, directory)
    return report


def report_of_folder(directory: Path) -> Report:
    """The report of a folder as it is now: of a run from its log, else from ``episodes.jsonl``.

    The settings are those that the folder's ``report.json`` was made with. Raises ``EvaluationError`` for a
    folder that is neither.
    """
    return _of_folder(directory)[0]


def _of_folder(directory: Path) -> tuple[Report, list[EpisodeResult]]:
    if (directory / FILE).exists():
        stored = (directory / "report.json").exists()
        report, evidence = _of_run(RunReader(directory), _stored(directory)[0] if stored else None)
        return report, evidence.results
    results = read_results(directory / "episodes.jsonl")
    settings, metadata = _stored(directory)
    return build_report(results, metadata, settings), results


def results_of(folder: Path) -> list[EpisodeResult]:
    """The episodes of a run, or of a folder with ``episodes.jsonl``, sorted by arm, N, task and seed.

    Raises ``EvaluationError`` where there are none.
    """
    is_run = (folder / FILE).exists()
    results = RunReader(folder).results() if is_run else read_results(folder / "episodes.jsonl")
    if not results:
        raise EvaluationError(f"{folder} has no episode that has ended yet. Wait for the first ones.")
    return sorted(results, key=lambda r: (r.arm, r.n, r.task, r.seed))


def run_metadata(plan: Manifest, folder: Path) -> dict[str, Any]:
    """What a report says of a run: title, hashes, environment, arms, its starts and what else happened."""
    events = read_sessions(folder)
    return {
        "title": plan.title or str(plan.suite.get("name", folder.resolve().name)),
        "suite": plan.suite.get("name"),
        "suite_hash": plan.suite_hash,
        "plan_hash": plan.plan_hash,
        "panel": dict(plan.panel),
        "environment": dict(plan.environment),
        "arms": [
            {
                "name": arm.name,
                "n": arm.n,
                "policy": arm.policy,
                "critic": arm.critic,
                "selector": arm.selector,
                "options": dict(arm.options),
                "fingerprints": dict(arm.fingerprints),
            }
            for arm in plan.arms
        ],
        "sessions": [event for event in events if event.get("event") == "start"],
        "events": dict(Counter(str(event.get("event")) for event in events if event.get("event") != "start")),
    }


def settings_of_plan(plan: Manifest) -> ReportSettings:
    """The roles that the suite gives its arms (key ``roles``), the usual ones where it gives none."""
    roles = cast(Mapping[str, Any], plan.suite.get("roles") or {})
    usual = ReportSettings()
    return ReportSettings(
        main_n=roles.get("main_n"),
        method=str(roles.get("method", usual.method)),
        bases=tuple(roles.get("bases", usual.bases)),
        oracle=str(roles.get("oracle", usual.oracle)),
        sections=tuple(plan.suite.get("metrics", usual.sections)),
    )


def _of_run(reader: RunReader, settings: ReportSettings | None) -> tuple[Report, Evidence]:
    plan = reader.manifest
    settings = settings or settings_of_plan(plan)
    gamma = float(plan.suite.get("gamma", GAMMA))
    evidence = gather(reader, gamma, with_values="values" in settings.sections)
    report = build_report(
        evidence.results,
        run_metadata(plan, reader.folder),
        settings,
        plan=plan,
        evidence=evidence,
    )
    return report, evidence


def _write(report: Report, results: Iterable[EpisodeResult], directory: Path) -> None:
    from agentq_eval.reports.page import render_html
    from agentq_eval.reports.plots import plot_curve, plot_gain

    try:
        text = json.dumps(report, indent=2, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise EvaluationError(
            f"the report's metadata is no JSON: {error}. Pass text, numbers, lists and dicts."
        ) from error
    page = render_html(report)
    directory.mkdir(parents=True, exist_ok=True)
    write_results(results, directory / "episodes.jsonl")
    (directory / "report.json").write_text(text + "\n", encoding="utf-8")
    (directory / "report.html").write_text(page, encoding="utf-8")
    plot_gain(report, directory / "gain.png")
    if "curve" in report["settings"]["sections"]:
        plot_curve(report, directory / "curve.png")


def _stored(directory: Path) -> tuple[ReportSettings, Mapping[str, Any]]:
    path = directory / "report.json"
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
        return settings_of(old["settings"]), old["metadata"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(f"{path} is no report of this version: {error!r}.") from error
