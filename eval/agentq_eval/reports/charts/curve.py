"""Mean score over the number of candidates, one line per arm, labelled at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from agentq_eval.reports.charts.svg import (
    Canvas,
    Look,
    Scale,
    both,
    looks,
    nice_ticks,
    shorten,
    spread,
    tick_text,
)
from agentq_eval.reports.labels import arm_label, number, span

Point = Mapping[str, Any]


def curve_chart(report: Mapping[str, Any]) -> Markup | None:
    """None when every arm was played with one and the same N only."""
    sizes = sorted({point["n_candidates"] for points in report["curve"].values() for point in points})
    several = any(len(points) > 1 for points in report["curve"].values())
    if len(sizes) < 2 or not several:
        return None
    styles = looks(report)
    return both(lambda width, css: _draw(report["curve"], sizes, styles, width, css))


def _draw(
    curve: Mapping[str, Sequence[Point]],
    sizes: Sequence[int],
    styles: Mapping[str, Look],
    width: int,
    css: str,
) -> Markup:
    wide = css == "wide"
    height, left, right = (330, 44, 168) if wide else (310, 38, 122)
    top, bottom = 14, height - 46
    ticks = _ticks(curve)
    y = Scale(ticks[0], ticks[-1], bottom, top)
    steps = {
        size: left + 10 + (width - right - left - 20) * i / (len(sizes) - 1) for i, size in enumerate(sizes)
    }
    canvas = Canvas(width, height)
    canvas.grid_y(y, ticks, left, width - right, tick_text(ticks))
    for size in sizes:
        canvas.text(steps[size], bottom + 20, str(size), "tick", "middle")
    canvas.text((left + width - right) / 2, height - 6, "candidates per decision, N", "axis", "middle")
    for name, points in sorted(curve.items(), key=lambda item: styles[item[0]].accent):  # the method on top
        _series(canvas, points, styles[name], steps, y, sizes)
    ends = [_last(points, sizes) for points in curve.values()]
    places = spread([y(point["score"]["mean"]) for point in ends], 17, top + 6, bottom)
    for (name, look), place, point in zip(((n, styles[n]) for n in curve), places, ends, strict=True):
        canvas.line(
            width - right + 4, y(point["score"]["mean"]), width - right + 12, place, f"leader {look.css}"
        )
        canvas.text(
            width - right + 16, place + 4, shorten(arm_label(name, "N"), right - 16), f"label {look.css}"
        )
    described = ". ".join(_spoken(name, points) for name, points in curve.items())
    return canvas.svg(f"curve-{css}", "Mean score over the number of candidates", described, css)


def _series(
    canvas: Canvas,
    points: Sequence[Point],
    look: Look,
    steps: Mapping[int, float],
    y: Scale,
    sizes: Sequence[int],
) -> None:
    flat = len(points) == 1 and points[0]["n_candidates"] == 1
    xs = [steps[size] for size in sizes] if flat else [steps[point["n_candidates"]] for point in points]
    rows = [points[0]] * len(sizes) if flat else list(points)
    bounded = [(x, row["score"]) for x, row in zip(xs, rows, strict=True) if row["score"]["low"] is not None]
    bounded = [] if flat else [(x, score) for x, score in bounded if score["high"] is not None]
    if look.accent and len(bounded) > 1:
        upper = [(x, y(score["high"])) for x, score in bounded]
        canvas.path(
            [*upper, *((x, y(score["low"])) for x, score in bounded[::-1])], f"band {look.css}", close=True
        )
    for x, score in bounded if not look.accent else []:  # several bands would only be mud
        canvas.line(x, y(score["low"]), x, y(score["high"]), f"reach {look.css}")
    lines = [(x, y(row["score"]["mean"])) for x, row in zip(xs, rows, strict=True)]
    canvas.path(lines, f"line {look.css}{' dashed' if look.dashed or flat else ''}")
    if flat:
        return
    for x, row in zip(xs, rows, strict=True):
        score = row["score"]
        tip = f"N = {row['n_candidates']}: {number(score['mean'])} {span(score)}"
        canvas.marker(x, y(score["mean"]), look, tip)


def _last(points: Sequence[Point], sizes: Sequence[int]) -> Point:
    return max(points, key=lambda point: point["n_candidates"] if len(points) > 1 else sizes[0])


def _ticks(curve: Mapping[str, Sequence[Point]]) -> list[float]:
    scores = [point["score"] for points in curve.values() for point in points]
    ends = [score[key] for score in scores for key in ("low", "mean", "high") if score[key] is not None]
    ticks = nice_ticks(max(min(ends) - 0.01, 0.0), min(max(ends) + 0.01, 1.0), 6)
    return [tick for tick in ticks if 0 <= tick <= 1 + 1e-9] if len(ticks) > 3 else ticks


def _spoken(name: str, points: Sequence[Point]) -> str:
    values = ", ".join(f"{number(p['score']['mean'])} at N {p['n_candidates']}" for p in points)
    return f"{arm_label(name, 'N')}: {values}"
