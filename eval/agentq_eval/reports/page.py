"""One self-contained page of a report: inline styles and drawings, no scripts, nothing from the network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any, cast
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from agentq_eval.reports import tables
from agentq_eval.reports.charts.curve import curve_chart
from agentq_eval.reports.charts.forest import forest_chart
from agentq_eval.reports.charts.frontier import frontier_chart
from agentq_eval.reports.charts.reliability import reliability_chart
from agentq_eval.reports.labels import OUTCOMES, amount, arm_label, headline, interval, number, percent, span
from agentq_eval.reports.settings import Report

_TITLE = "Choosing actions by value"


def render_html(report: Report) -> str:
    """The page as text. The run's own texts (tasks, errors, metadata) are escaped."""
    environment = Environment(
        loader=PackageLoader("agentq_eval.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    metadata = report["metadata"]
    style = resources.files("agentq_eval.reports").joinpath("templates/report.css").read_text("utf-8")
    return environment.get_template("report.html").render(
        report=report,
        title=str(metadata.get("title") or _TITLE),
        style=Markup(style),
        headline=headline(report),
        tiles=tiles(report),
        notices=notices(report),
        facts=facts(report),
        tables=tables,
        forest=forest_chart(report),
        curve=curve_chart(report) if "curve" in report["settings"]["sections"] else None,
        frontiers=[chart for unit in ("tokens", "seconds") if (chart := frontier_chart(report, unit))],
        reliability=reliability(report),
        trace=trace_link,
        label=arm_label,
        key_label=key_label,
        outcomes=OUTCOMES,
        amount=amount,
        number=number,
        percent=percent,
        span=span,
        provenance=provenance(metadata),
        raw=json.dumps({k: v for k, v in metadata.items() if k != "title"}, indent=2, ensure_ascii=False),
    )


def trace_link(episode: str) -> str:
    """Where ``agentq view`` shows an episode, relative to where it serves this page."""
    return f"./#/episode/{quote(episode, safe='')}/step/0"


def key_label(key: str) -> str:
    """The name for people of ``name@n``."""
    name, _, n = key.rpartition("@")
    return arm_label(name, int(n))


def tiles(report: Report) -> list[dict[str, str]]:
    """The figures at the top: what each is, its value, its interval, and one line on what it means."""
    arms, gain, share = report["arms"], report["gain"], report["oracle_gap_closed"]
    name = gain["arm"] if gain["arm"] in arms else max(arms, key=lambda n: arms[n]["score"]["mean"])
    arm = arms[name]
    label = arm_label(name, arm["n_candidates"])
    found = [
        {
            "name": "Mean score",
            "value": number(arm["score"]["mean"]),
            "interval": span(arm["score"]),
            "note": label,
        },
        {
            "name": "Success",
            "value": percent(arm["success"]["rate"]),
            "interval": interval(arm["success"]),
            "note": label,
        },
    ]
    base = gain["base"] and arm_label(gain["base"], arms[gain["base"]]["n_candidates"])
    if "gain" not in report["settings"]["sections"]:
        return found
    found.append(
        {
            "name": "Gain",
            "value": percent(gain["relative"], True),
            "interval": interval(gain, True),
            "note": f"over {base}",
        }
        if gain["relative"] is not None
        else {"name": "Gain", "value": "–", "interval": "", "note": f"undefined: {gain['reason']}"}
    )
    if share["value"] is not None:
        found.append(
            {
                "name": "Oracle gap closed",
                "value": percent(share["value"]),
                "interval": interval(share),
                "note": f"of the way from {base} to the oracle",
            }
        )
    return found


def notices(report: Report) -> list[dict[str, str]]:
    """What a reader must know before believing a number; ``kind`` is "warn" or "info"."""
    total = report["accounting"]["total"]
    found: list[dict[str, str]] = []
    if total["pending"]:
        text = (
            f"This run is not finished: {total['pending']:,} of {total['planned']:,} planned episodes are not "
            "played yet. Every figure can still change, and arms may have different tasks."
        )
        found.append({"kind": "warn", "text": text})
    if total["infrastructure"]:
        lost, others = _episodes(total["infrastructure"]), _episodes(total["left_out"])
        text = (
            f"Infrastructure lost {lost} for good. Left out of every mean and comparison: these, and {others} of "
            "other arms on the same task and seed. Run the evaluation again to have them retried."
        )
        found.append({"kind": "warn", "text": text})
    if report["tasks"] < 2:
        text = (
            "One task gives no interval: nothing here says how far the numbers would be off on another one."
        )
        found.append({"kind": "warn", "text": text})
    return found


def facts(report: Report) -> str:
    """What was played, in one line."""
    seeds = report["seeds"]
    tasks = f"{report['tasks']:,} task{'s' if report['tasks'] != 1 else ''}"
    seed_text = f"{len(seeds)} seeds" if len(seeds) > 1 else f"seed {seeds[0]}"
    total = report["accounting"]["total"]
    return f"{len(report['arms'])} arms, {tasks}, {seed_text}, {total['planned']:,} episodes planned"


def reliability(report: Report) -> list[dict[str, Any]]:
    """Charts and numbers of every arm whose values were logged, the headline's method first."""
    method = (report["settings"]["method"], report["main_n"])
    rows = sorted(report["values"], key=lambda row: (row["arm"], row["n_candidates"]) != method)
    found: list[dict[str, Any]] = []
    for index, row in enumerate(rows):
        charts: list[dict[str, Any]] = []
        for calibration in row["calibration"]:
            what = tables.TARGETS[calibration["against"]]
            chart = reliability_chart(
                calibration["bins"],
                f"q{index}-{calibration['against']}",
                f"{what} against Q, {arm_label(row['arm'], row['n_candidates'])}",
                what,
            )
            charts.append({"what": what, "chart": chart, "calibration": calibration})
        found.append({"row": row, "charts": charts})
    return found


def provenance(metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The facts that make a run repeatable, in short; everything else is in the details below them."""
    found: list[tuple[str, str]] = []
    for name, title in (("suite", "Suite"), ("suite_hash", "Suite hash"), ("plan_hash", "Plan hash")):
        if metadata.get(name):
            found.append((title, str(metadata[name])))
    for name, title in (("panel", "Panel"), ("environment", "Environment")):
        value = metadata.get(name)
        if value:
            found.append((title, _flat(value)))
    sessions: list[Report] = metadata.get("sessions") or []
    record: Report = metadata.get("provenance") or (sessions[-1].get("provenance") or {} if sessions else {})
    if sessions:
        found.append(("Started", ", ".join(str(session.get("time", "?")) for session in sessions[-8:])))
    if metadata.get("events"):
        found.append(("Events", _flat(metadata["events"])))
    for name, title in (
        ("command", "Command"),
        ("agentq", "AgentQ"),
        ("python", "Python"),
        ("platform", "Platform"),
    ):
        value = record.get(name)
        if value:
            found.append(
                (title, " ".join(map(str, cast(list[Any], value))) if name == "command" else str(value))
            )
    git = record.get("git")
    if git:
        changed = git.get("changed_files")
        found.append(("Commit", f"{git.get('commit')}{f', {changed} changed files' if changed else ''}"))
    if record.get("packages"):
        found.append(("Packages", _flat(record["packages"])))
    return found


def _episodes(count: int) -> str:
    return f"{count:,} episode{'s' if count != 1 else ''}"


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        items: Mapping[str, Any] = value  # pyright: ignore[reportUnknownVariableType]
        return ", ".join(f"{k} {_flat(v)}" for k, v in items.items() if v not in (None, {}, [], ""))
    return str(value)
