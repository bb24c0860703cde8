"""The page's tables: every number of every plot, as rows of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from agentq_eval.reports.charts.frontier import efficient, frontier_spots
from agentq_eval.reports.charts.strips import interval_strip, outcome_bar, strip_scale
from agentq_eval.reports.charts.svg import looks
from agentq_eval.reports.labels import amount, arm_label, interval, number, p_value, percent, span
from agentq_eval.reports.settings import Report

#: What Q is compared with.
TARGETS = {
    "return": "Chosen actions: return of the episode",
    "label": "All candidates: labelled value",
}


@dataclass(frozen=True, slots=True)
class Table:
    """Head and rows; the first column names the row. ``soft`` columns are small and quiet."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str | Markup]]
    marked: frozenset[int] = frozenset()  # rows that stand out


def summary(report: Report) -> Table:
    """Every arm of the headline with its intervals."""
    styles = looks(report)
    x = strip_scale([arm["score"] for arm in report["arms"].values()])
    rows = [
        [
            arm_label(name, arm["n_candidates"]),
            interval_strip(arm["score"], styles[name], x),
            _with(number(arm["score"]["mean"]), span(arm["score"])),
            _with(percent(arm["success"]["rate"]), interval(arm["success"])),
            f"{arm['steps_per_episode']:.1f}",
            amount(arm["tokens_per_decision"]),
            amount(arm["seconds_per_decision"], "s"),
        ]
        for name, arm in report["arms"].items()
    ]
    head = ["Arm", "", "Score", "Success", "Steps", "Tokens / decision", "Time / decision"]
    method = [i for i, name in enumerate(report["arms"]) if name == report["settings"]["method"]]
    return Table(f"Every arm, with {report['confidence']:.0%} intervals", head, rows, frozenset(method))


def robust(report: Report) -> Table:
    """The same means by other estimators, to see whether the conclusion hangs on one."""
    rows = [
        [
            arm_label(name, arm["n_candidates"]),
            number(arm["score"]["mean"]),
            span(arm["score"]),
            span(arm["t_interval"]),
            number(arm["standard_error"]),
            _with(number(arm["interquartile_mean"]["value"]), span(arm["interquartile_mean"])),
        ]
        for name, arm in report["arms"].items()
    ]
    head = ["Arm", "Mean", "Bootstrap", "t interval", "Clustered SE", "Interquartile mean"]
    return Table("The score by other estimators", head, rows)


def differences(report: Report) -> Table:
    """The forest plot as text, with tests."""
    rows = [
        [
            arm_label(row["arm"], row["n_candidates"]),
            _with(number(row["score"]["difference"], 3, True), span(row["score"], 3, True)),
            _with(percent(row["success"]["difference"], True), interval(row["success"], True)),
            f"{row['won']} / {row['tied']} / {row['lost']}",
            _with(p_value(row["wilcoxon_p"]), p_value(row["wilcoxon_p_holm"])),
            _with(p_value(row["mcnemar_p"]), p_value(row["mcnemar_p_holm"])),
        ]
        for row in report["differences"]
    ]
    head = [
        "Arm",
        "Score",
        "Success",
        "Won / tied / lost",
        "p of score (Wilcoxon; Holm)",
        "p of success (McNemar; Holm)",
    ]
    return Table("Paired differences against the base", head, rows)


def pairs(report: Report) -> Table:
    """Every two arms."""
    rows = [
        [
            f"{arm_label(row['arm'], row['n_candidates'])} − {arm_label(row['base'], row['base_n_candidates'])}",
            _with(number(row["score"]["difference"], 3, True), span(row["score"], 3, True)),
            _with(percent(row["success"]["difference"], True), interval(row["success"], True)),
            f"{row['won']} / {row['tied']} / {row['lost']}",
        ]
        for row in report["paired"]
    ]
    return Table("Every two arms", ["Difference", "Score", "Success", "Won / tied / lost"], rows)


def curve(report: Report) -> Table:
    """The curve over N as text."""
    rows = [
        [
            arm_label(name, "N"),
            str(point["n_candidates"]),
            _with(number(point["score"]["mean"]), span(point["score"])),
            _with(percent(point["success"]["rate"]), interval(point["success"])),
        ]
        for name, points in report["curve"].items()
        for point in points
    ]
    return Table("Score over the number of candidates", ["Arm", "N", "Score", "Success"], rows)


def cost(report: Report) -> Table:
    """What each arm costs, and what a point of score over the base costs."""
    prices = {(row["arm"], row["n_candidates"]): row for row in report["cost"]}
    best = {
        unit: {spot.label for spot in efficient(frontier_spots(report, unit))}
        for unit in ("tokens", "seconds")
    }
    rows: list[list[str | Markup]] = []
    for name, points in report["curve"].items():
        for point in points if len(points) == 1 else (p for p in points if p["n_candidates"] > 1):
            n = point["n_candidates"]
            price = prices.get((name, n), {})
            label = arm_label(name, n)
            on = [unit for unit in best if label in best[unit]]
            rows.append(
                [
                    label,
                    number(point["score"]["mean"]),
                    amount(point["tokens_per_decision"]),
                    amount(point["seconds_per_decision"], "s"),
                    amount(price.get("tokens_per_point")),
                    amount(price.get("seconds_per_point"), "s") if price.get("seconds_per_point") else "–",
                    " and ".join(on) or "–",
                ]
            )
    head = [
        "Arm",
        "Score",
        "Tokens / decision",
        "Time / decision",
        "Tokens / point",
        "Time / point",
        "On the frontier",
    ]
    return Table("Cost; a point is 0.01 of score over the base, per episode", head, rows)


def accounting(report: Report) -> Table:
    """What became of every planned episode."""
    rows = [
        [
            arm_label(row["arm"], row["n_candidates"]),
            outcome_bar(row),
            *(f"{row[name]:,}" for name in _COUNTS),
        ]
        for row in report["accounting"]["arms"]
    ]
    whole = report["accounting"]["total"]
    rows.append(["all", outcome_bar(whole), *(f"{whole[name]:,}" for name in _COUNTS)])
    head = [
        "Arm",
        "",
        "Planned",
        "Finished",
        "Failed",
        "Timed out",
        "Lost",
        "Pending",
        "Step limit",
        "Retried",
        "Compared",
    ]
    return Table("What became of every planned episode", head, rows, frozenset({len(rows) - 1}))


_COUNTS = (
    "planned",
    "finished",
    "failed",
    "timed_out",
    "infrastructure",
    "pending",
    "truncated",
    "retried",
    "compared",
)


def sensitivity(report: Report) -> Table:
    """The main figures beside those with every retried or lost episode counted as failed."""
    main = {(name, p["n_candidates"]): p for name, points in report["curve"].items() for p in points}
    rows: list[list[str | Markup]] = []
    affected: list[Report] = report["sensitivity"]["arms"] or []
    for row in affected:
        before = main.get((row["arm"], row["n_candidates"]))
        rows.append(
            [
                arm_label(row["arm"], row["n_candidates"]),
                f"{row['episodes']:,}",
                _with(number(before["score"]["mean"]), span(before["score"])) if before else "–",
                _with(number(row["score"]["mean"]), span(row["score"])),
                percent(before["success"]["rate"]) if before else "–",
                percent(row["success"]["rate"]),
            ]
        )
    head = [
        "Arm",
        "Retried or lost",
        "Score",
        "Score, retried = failed",
        "Success",
        "Success, retried = failed",
    ]
    return Table("How much retrying could have helped", head, rows)


def proposals(report: Report) -> Table:
    """What the policy proposed."""
    rows = [
        [
            arm_label(name, arm["n_candidates"]),
            percent(arm["parser_failure_rate"]) if arm["parser_failure_rate"] is not None else "–",
            percent(arm["duplicate_rate"]) if arm["duplicate_rate"] is not None else "–",
        ]
        for name, arm in report["arms"].items()
    ]
    return Table(
        "Candidates that did not parse, or repeated another", ["Arm", "Unparsed", "Duplicates"], rows
    )


def bins(calibration: Report) -> Table:
    """A reliability curve as text."""
    rows = [
        [number(row["q"]), number(row["outcome"]), span(row), f"{row['count']:,}"]
        for row in calibration["bins"]
        if row["count"]
    ]
    return Table(TARGETS[calibration["against"]], ["Mean Q", "Mean outcome", "Interval", "Decisions"], rows)


def _with(value: str, limits: str) -> Markup:
    return Markup('{} <span class="limits">{}</span>').format(value, limits)
