"""Small drawings inside tables: an interval on a common axis, the parts of a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from agentq_eval.reports.charts.svg import Canvas, Look, Scale, nice_ticks

WIDTH, HEIGHT = 168, 22
#: Outcomes in the order of the bar; the style sheet gives each its colour.
PARTS = ("finished", "failed", "timed_out", "infrastructure", "pending")


def strip_scale(scores: Sequence[Mapping[str, Any]]) -> Scale:
    """One axis for the intervals of a table."""
    ends = [score[key] for score in scores for key in ("low", "mean", "high") if score[key] is not None]
    ticks = nice_ticks(max(min(ends) - 0.02, 0), min(max(ends) + 0.02, 1), 4)
    return Scale(ticks[0], ticks[-1], 8, WIDTH - 8)


def interval_strip(score: Mapping[str, Any], look: Look, x: Scale) -> Markup:
    """A mean with its interval; decoration, the numbers stand beside it."""
    canvas = Canvas(WIDTH, HEIGHT)
    middle = HEIGHT / 2
    canvas.line(x.start, middle, x.end, middle, "grid")
    if score["low"] is not None and score["high"] is not None:
        canvas.line(x(score["low"]), middle, x(score["high"]), middle, f"whisker {look.css}")
    canvas.marker(x(score["mean"]), middle, look, hollow=look.dashed)
    return _bare(canvas, "strip")


def outcome_bar(account: Mapping[str, Any]) -> Markup:
    """The outcomes of the planned episodes as parts of one bar; decoration."""
    canvas = Canvas(WIDTH, HEIGHT)
    at = 0.0
    for part in PARTS:
        wide = WIDTH * account[part] / account["planned"] if account["planned"] else 0
        if wide:
            wide = max(wide, 2.0)  # one in a thousand is still seen
            canvas.add("rect", f"part {part}", x=at, y=6, width=min(wide, WIDTH - at), height=10)
            at += wide
    return _bare(canvas, "strip")


def _bare(canvas: Canvas, css: str) -> Markup:
    head = Markup('<svg class="{}" viewBox="0 0 {} {}" width="{}" height="{}" aria-hidden="true">').format(
        css, WIDTH, HEIGHT, WIDTH, HEIGHT
    )
    return head + Markup("").join(canvas.parts) + Markup("</svg>")
