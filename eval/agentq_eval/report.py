"""From episodes to ``report.json``, ``report.html`` and PNG plots; the schema is docs/report_schema.md.

Every arm must have played the same (task, seed) pairs, so all comparisons are paired. Scores and rates are
always 0-1. The report is a pure function of the results and the metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, get_args

from agentq.errors import EvaluationError
from agentq_eval.episodes import (
    ARMS,
    SINGLE,
    Cells,
    EpisodeResult,
    Outcome,
    check_paired,
    group,
    read_results,
    write_results,
)
from agentq_eval.statistics import Estimate, TaskBootstrap

SCHEMA_VERSION = 1
BASES = ("sampled", "greedy")  # what a gain is measured against: the better of them
METHOD = "best_of_n"
Report = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """What the report compares and how its intervals are made."""

    main_n: int | None = None  # N of the headline; None: 8 when it was played, else the largest
    required: tuple[str, ...] = ARMS  # arms without which there is no report
    repetitions: int = 10_000  # bootstrap resamples
    seed: int = 0  # of the bootstrap
    confidence: float = 0.95


def build_report(
    results: Iterable[EpisodeResult],
    metadata: Mapping[str, Any] | None = None,
    settings: ReportSettings | None = None,
) -> Report:
    """The content of ``report.json``.

    ``metadata`` (title, configuration, provenance, ...) is stored under its key and must be JSON. Raises
    ``EvaluationError`` when a required arm is missing, arms did not play the same episodes, an episode is
    there twice, or a value is impossible.
    """
    settings = settings or ReportSettings()
    cells = group(results)
    main_n = _main_n(cells, settings)
    check_paired(cells)
    episodes = next(iter(cells.values()))
    bootstrap = TaskBootstrap(
        [episode.task for episode in episodes],
        repetitions=settings.repetitions,
        seed=settings.seed,
        confidence=settings.confidence,
    )
    main = _arms_at(cells, main_n)
    return {
        "schema_version": SCHEMA_VERSION,
        "main_n": main_n,
        "tasks": bootstrap.tasks,
        "seeds": sorted({episode.seed for episode in episodes}),
        "confidence": settings.confidence,
        "arms": {name: _arm(bootstrap, cell) for name, cell in main.items()},
        "gain": _gain(bootstrap, main),
        "oracle_gap_closed": _gap_closed(bootstrap, main),
        "paired": [_pair(bootstrap, one, two, main) for two, one in combinations(main, 2)],
        "curve": _curve(bootstrap, cells),
        "bootstrap": {"unit": "task", "repetitions": settings.repetitions, "seed": settings.seed},
        "metadata": dict(metadata or {}),
    }


def write_report(
    results: Iterable[EpisodeResult],
    directory: Path,
    metadata: Mapping[str, Any] | None = None,
    settings: ReportSettings | None = None,
) -> Report:
    """Write ``episodes.jsonl``, ``report.json``, ``report.html``, ``gain.png`` and ``curve.png``.

    ``rebuild_report`` makes the same report again from the folder. Raises as ``build_report``, and
    ``EvaluationError`` when the metadata is no JSON; nothing is written then.
    """
    from agentq_eval.plots import plot_curve, plot_gain
    from agentq_eval.report_html import render_html

    results = list(results)
    report = build_report(results, metadata, settings)
    try:
        text = json.dumps(report, indent=2, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise EvaluationError(
            f"the report's metadata is no JSON: {error}. Pass text, numbers, lists and dicts."
        ) from error
    directory.mkdir(parents=True, exist_ok=True)
    write_results(results, directory / "episodes.jsonl")
    (directory / "report.json").write_text(text + "\n", encoding="utf-8")
    (directory / "report.html").write_text(render_html(report), encoding="utf-8")
    plot_gain(report, directory / "gain.png")
    plot_curve(report, directory / "curve.png")
    return report


def rebuild_report(directory: Path) -> Report:
    """Make the report of a folder again from its ``episodes.jsonl`` and the settings it was made with."""
    results = read_results(directory / "episodes.jsonl")
    try:
        old = json.loads((directory / "report.json").read_text(encoding="utf-8"))
        settings = ReportSettings(
            main_n=old["main_n"],
            required=tuple(old["arms"]),
            repetitions=old["bootstrap"]["repetitions"],
            seed=old["bootstrap"]["seed"],
            confidence=old["confidence"],
        )
        metadata = old["metadata"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EvaluationError(f"{directory / 'report.json'} is no report: {error!r}.") from error
    return write_report(results, directory, metadata, settings)


def _main_n(cells: Cells, settings: ReportSettings) -> int:
    played = sorted({n for arm, n in cells if arm == METHOD})
    if not played:
        raise EvaluationError(f"no episodes of the arm {METHOD!r}: it is what every gain is about. Play it.")
    main_n = settings.main_n or (8 if 8 in played else played[-1])
    missing = [name for name in {*settings.required, METHOD} if name not in _arms_at(cells, main_n)]
    if missing:
        raise EvaluationError(
            f"no episodes of {', '.join(sorted(missing))} at N={main_n} (best_of_n was played at {played}). "
            "Play them, or leave them out of ReportSettings.required."
        )
    if not any(name in _arms_at(cells, main_n) for name in BASES):
        raise EvaluationError(
            f"no episodes of {' or '.join(BASES)}: there is nothing to gain over. Play one."
        )
    return main_n


def _arms_at(cells: Cells, n: int) -> dict[str, list[EpisodeResult]]:
    return {arm: cell for (arm, size), cell in cells.items() if size == (1 if arm in SINGLE else n)}


def _arm(bootstrap: TaskBootstrap, cell: Sequence[EpisodeResult]) -> Report:
    decisions = sum(result.decisions for result in cell)
    score = bootstrap.score([result.score for result in cell])
    success = bootstrap.rate([float(result.success) for result in cell])
    return {
        "n_candidates": cell[0].n,
        "score": {"mean": score.value, **_limits(score)},
        "success": {"rate": success.value, **_limits(success)},
        "seconds_per_decision": sum(result.seconds for result in cell) / decisions if decisions else None,
        "tokens_per_decision": sum(result.tokens for result in cell) / decisions if decisions else None,
        "steps_per_episode": sum(result.steps for result in cell) / len(cell),
        "episodes": {
            "planned": len(cell),
            **{outcome: sum(r.outcome == outcome for r in cell) for outcome in get_args(Outcome)},
        },
    }


def _limits(estimate: Estimate) -> Report:
    return {"low": estimate.low, "high": estimate.high, "n": estimate.n}


def _scores(cell: Sequence[EpisodeResult]) -> list[float]:
    return [result.score for result in cell]


def _base(main: Mapping[str, Sequence[EpisodeResult]]) -> str:
    present = [name for name in BASES if name in main]
    return max(present, key=lambda name: sum(_scores(main[name])))


def _gain(bootstrap: TaskBootstrap, main: Mapping[str, Sequence[EpisodeResult]]) -> Report:
    bases = [_scores(main[name]) for name in BASES if name in main]
    gain = bootstrap.relative_gain(_scores(main[METHOD]), *bases)
    return {"relative": gain.value, **_limits(gain), "arm": METHOD, "base": _base(main)}


def _gap_closed(bootstrap: TaskBootstrap, main: Mapping[str, Sequence[EpisodeResult]]) -> Report:
    share = Estimate(None, None, None, bootstrap.episodes)
    if "oracle" in main:
        bases = [_scores(main[name]) for name in BASES if name in main]
        share = bootstrap.gap_closed(_scores(main[METHOD]), _scores(main["oracle"]), *bases)
    return {"value": share.value, **_limits(share), "arm": METHOD, "base": _base(main)}


def _pair(
    bootstrap: TaskBootstrap, arm: str, base: str, main: Mapping[str, Sequence[EpisodeResult]]
) -> Report:
    score = bootstrap.difference(_scores(main[arm]), _scores(main[base]))
    success = bootstrap.difference(
        [float(r.success) for r in main[arm]], [float(r.success) for r in main[base]]
    )
    return {
        "arm": arm,
        "base": base,
        "score": {"difference": score.value, **_limits(score)},
        "success": {"difference": success.value, **_limits(success)},
    }


def _curve(bootstrap: TaskBootstrap, cells: Cells) -> dict[str, list[Report]]:
    """Every arm over N. With one candidate there is no choice: ``sampled`` is the N=1 point of all others."""
    curve: dict[str, list[Report]] = {}
    for (arm, _), cell in cells.items():
        curve.setdefault(arm, []).append(_arm(bootstrap, cell))
    one = curve.get("sampled", [])[:1]
    return {
        arm: points if arm in SINGLE or points[0]["n_candidates"] == 1 else [*one, *points]
        for arm, points in curve.items()
    }
