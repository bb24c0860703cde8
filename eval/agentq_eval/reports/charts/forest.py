"""Forest plot: the paired difference of every arm against the base, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from agentq_eval.reports.charts.svg import Canvas, Look, Scale, both, looks, nice_ticks, shorten, tick_text
from agentq_eval.reports.labels import arm_label, number, p_value, span

_ROW = 34


def forest_chart(report: Mapping[str, Any]) -> Markup | None:
    """Score differences on one axis; None without any."""
    rows = [row for row in report["differences"] if row["score"]["difference"] is not None]
    if not rows:
        return None
    styles = looks(report)
    return both(lambda width, css: _draw(rows, styles, width, css))


def _draw(rows: Sequence[Mapping[str, Any]], styles: Mapping[str, Look], width: int, css: str) -> Markup:
    wide = css == "wide"
    row_height = _ROW if wide else 50
    left, right = (176, 222) if wide else (10, 12)
    top = 30 if wide else 26
    bottom = top + row_height * len(rows) + 4
    ticks = _ticks(rows, 7 if wide else 5)
    x = Scale(ticks[0], ticks[-1], left, width - right)
    canvas = Canvas(width, bottom + 26)
    canvas.grid_x(x, ticks, top - 4, bottom, tick_text(ticks, signed=True))
    canvas.line(x(0), top - 8, x(0), bottom, "zero")
    canvas.text(x(0) - 8, 14, "base better", "note", "end")
    canvas.text(x(0) + 8, 14, "arm better", "note")
    if x(0) - left < 80 and not wide:  # no room on that side
        canvas.parts.pop(-2)
    for index, row in enumerate(rows):
        y = top + row_height * (index + (0.5 if wide else 0.72))
        _row(canvas, row, styles, x, y, left if wide else None)
    base = arm_label(rows[0]["base"], rows[0]["base_n_candidates"])
    described = ". ".join(_spoken(row) for row in rows)
    return canvas.svg(f"forest-{css}", f"Paired differences of score against {base}", described, css)


def _row(
    canvas: Canvas,
    row: Mapping[str, Any],
    styles: Mapping[str, Look],
    x: Scale,
    y: float,
    labels: float | None,
) -> None:
    score, look = row["score"], styles[row["arm"]]
    label = arm_label(row["arm"], row["n_candidates"])
    figures = f"{number(score['difference'], 3, True)} {span(score, 3, True)}"
    if labels is not None:
        canvas.text(labels - 14, y + 4, shorten(label, labels - 14), "label", "end")
        canvas.text(canvas.width, y + 4, figures, "value", "end")
    else:
        canvas.text(0, y - 14, shorten(label, 130), "label")
        canvas.text(canvas.width, y - 14, figures, "value", "end")
    sure = significant(row)
    if score["low"] is not None and score["high"] is not None:
        canvas.line(x(score["low"]), y, x(score["high"]), y, f"whisker {look.css}{'' if sure else ' faint'}")
    canvas.marker(x(score["difference"]), y, look, _spoken(row), size=5.5, hollow=not sure)


def significant(row: Mapping[str, Any]) -> bool:
    """Whether the interval of the score difference leaves zero out."""
    low, high = row["score"]["low"], row["score"]["high"]
    return (low is not None and low > 0) or (high is not None and high < 0)


def _ticks(rows: Sequence[Mapping[str, Any]], count: int) -> list[float]:
    ends = [0.0]
    for row in rows:
        ends += [
            value for value in (row["score"][k] for k in ("low", "difference", "high")) if value is not None
        ]
    room = max((max(ends) - min(ends)) * 0.03, 0.005)
    return nice_ticks(min(ends) - room, max(ends) + room, count)


def _spoken(row: Mapping[str, Any]) -> str:
    score = row["score"]
    p = row["wilcoxon_p_holm"]
    tail = f", corrected p {p_value(p)}"
    label = arm_label(row["arm"], row["n_candidates"])
    return f"{label}: {number(score['difference'], 3, True)} {span(score, 3, True)}{tail}"
