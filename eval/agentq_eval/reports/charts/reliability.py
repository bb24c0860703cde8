"""Reliability curve: what came of decisions whose Q was about so much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from agentq_eval.reports.charts.svg import HALF, Canvas, Look, Scale, both, nice_ticks, tick_text
from agentq_eval.reports.labels import number, span

_BARS = 44  # height of the counts below


def reliability_chart(bins: Sequence[Mapping[str, Any]], name: str, title: str, what: str) -> Markup | None:
    """``bins``: ``{q, outcome, low, high, count}`` in rising order of q; None without two filled ones."""
    filled = [row for row in bins if row["count"]]
    if len(filled) < 2:
        return None
    return both(lambda width, css: _draw(filled, f"{name}-{css}", title, what, width, css), HALF)


def _draw(
    bins: Sequence[Mapping[str, Any]], name: str, title: str, what: str, width: int, css: str
) -> Markup:
    left, right, top = 44, 12, 12
    side = width - left - right
    plot = side * 0.82
    canvas = Canvas(width, top + plot + _BARS + 62)
    ends = [row[key] for row in bins for key in ("q", "outcome", "low", "high") if row[key] is not None]
    ticks = nice_ticks(min(ends), max(ends), 6)
    x = Scale(ticks[0], ticks[-1], left, width - right)
    y = Scale(ticks[0], ticks[-1], top + plot, top)
    write = tick_text(ticks)
    canvas.grid_y(y, ticks, left, width - right, write)
    canvas.line(x(ticks[0]), y(ticks[0]), x(ticks[-1]), y(ticks[-1]), "ideal")
    look = Look("c-method")
    canvas.path([(x(row["q"]), y(row["outcome"])) for row in bins], f"line {look.css}")
    for row in bins:
        at, tip = x(row["q"]), _spoken(row)
        if row["low"] is not None and row["high"] is not None:
            canvas.line(at, y(row["low"]), at, y(row["high"]), f"whisker {look.css}")
        canvas.marker(at, y(row["outcome"]), look, tip, size=4.5)
    floor = top + plot + 14 + _BARS
    most = max(row["count"] for row in bins)
    for row in bins:
        tall = max(_BARS * row["count"] / most, 1.5)
        canvas.add(
            "rect",
            "count",
            f"{row['count']:,} decisions",
            x=x(row["q"]) - 6,
            y=floor - tall,
            width=12,
            height=tall,
            rx=1.5,
        )
    canvas.line(left, floor, width - right, floor, "axis-line")
    for tick in ticks:
        canvas.text(x(tick), floor + 18, write(tick), "tick", "middle" if tick != ticks[-1] else "end")
    canvas.text(left + side / 2, floor + 38, "Q; bars: how often", "axis", "middle")
    return canvas.svg(name, title, f"{what} by Q. " + ". ".join(_spoken(row) for row in bins), css)


def _spoken(row: Mapping[str, Any]) -> str:
    return f"Q about {number(row['q'])}: {number(row['outcome'])} {span(row)} in {row['count']:,}"
