"""The report's charts as inline SVG that follows the page's colours, light or dark."""

from __future__ import annotations

from html import escape
from typing import Any

from agentq_eval.labels import BOUND, BY_CRITIC, arm_label, interval, percent

WIDTH = 640  # user units; the page scales the drawing
_LEFT, _RIGHT = 150, 60
_PLOT = WIDTH - _LEFT - _RIGHT


def bar_chart(report: dict[str, Any]) -> str:
    """Mean score of every arm at the main N, with intervals."""
    row, top = 38, 8
    arms = report["arms"]
    height = top + row * len(arms) + 30
    parts = _grid(top, height - 30)
    for index, (name, arm) in enumerate(arms.items()):
        score, middle = arm["score"], top + row * index + row / 2
        kind = "bound" if name in BOUND else "critic" if name in BY_CRITIC else "plain"
        label = arm_label(name, arm["n_candidates"])
        tip = f"{label}: {percent(score['mean'])} {interval(score)}"
        parts.append(f"<g><title>{escape(tip)}</title>")
        parts.append(f'<text x="{_LEFT - 8}" y="{middle + 4:.1f}" text-anchor="end">{escape(label)}</text>')
        parts.append(
            f'<rect class="bar {kind}" x="{_LEFT}" y="{middle - 12:.1f}" width="{_PLOT * score["mean"]:.1f}" '
            'height="24" rx="2"/>'
        )
        right = score["mean"]
        if score["low"] is not None and score["high"] is not None:
            right = score["high"]
            low, high = _x(score["low"]), _x(right)
            parts.append(
                f'<path class="whisker" d="M{low:.1f} {middle:.1f}H{high:.1f}M{low:.1f} {middle - 5:.1f}v10'
                f'M{high:.1f} {middle - 5:.1f}v10"/>'
            )
        parts.append(f'<text x="{_x(right) + 6:.1f}" y="{middle + 4:.1f}">{score["mean"]:.3f}</text></g>')
    return _svg(parts, height, "Mean score of every arm with intervals")


def curve_chart(report: dict[str, Any]) -> str:
    """Mean score over the number of candidates N, one line per arm, with whiskers."""
    sizes = sorted({point["n_candidates"] for points in report["curve"].values() for point in points})
    if len(sizes) < 2:
        return ""
    top, plot_height = 12, 240
    height = top + plot_height + 44
    place = {size: _LEFT + _PLOT * index / (len(sizes) - 1) for index, size in enumerate(sizes)}

    def y(score: float) -> float:
        return top + plot_height * (1 - score)

    parts = [f'<path class="grid" d="M{_LEFT} {y(t / 4):.1f}h{_PLOT}"/>' for t in range(5)]
    parts += [
        f'<text x="{_LEFT - 8}" y="{y(t / 4) + 4:.1f}" text-anchor="end">{t / 4:.2f}</text>' for t in range(5)
    ]
    parts += [
        f'<text x="{place[s]:.1f}" y="{top + plot_height + 18}" text-anchor="middle">{s}</text>'
        for s in sizes
    ]
    middle = _LEFT + _PLOT / 2
    parts.append(
        f'<text x="{middle}" y="{height - 6}" text-anchor="middle">candidates per decision, N</text>'
    )
    for name, points in report["curve"].items():
        flat = len(points) == 1 and points[0]["n_candidates"] == 1
        path = (
            [(place[s], points[0]) for s in sizes]
            if flat
            else [(place[p["n_candidates"]], p) for p in points]
        )
        line = "L".join(f"{x:.1f} {y(point['score']['mean']):.1f}" for x, point in path)
        parts.append(f'<g class="series {escape(name)}"><path class="line" d="M{line}"/>')
        for x, point in path if not flat else []:
            score = point["score"]
            tip = f"{arm_label(name, point['n_candidates'])}: {percent(score['mean'])} {interval(score)}"
            dot = f'<circle cx="{x:.1f}" cy="{y(score["mean"]):.1f}" r="4"/>'
            if score["low"] is not None and score["high"] is not None:
                dot += f'<path class="band" d="M{x:.1f} {y(score["low"]):.1f}V{y(score["high"]):.1f}"/>'
            parts.append(f"<g><title>{escape(tip)}</title>{dot}</g>")
        parts.append("</g>")
    return _svg(parts, height, "Mean score over the number of candidates") + _legend(report)


def _legend(report: dict[str, Any]) -> str:
    keys = "".join(
        f'<li class="{escape(name)}"><i></i><span>{escape(arm_label(name, "N"))}</span></li>'
        for name in report["curve"]
    )
    return f'<ul class="legend">{keys}</ul>'


def _x(share: float) -> float:
    return _LEFT + _PLOT * share


def _grid(top: int, bottom: int) -> list[str]:
    parts: list[str] = []
    for tick in range(5):
        x = _x(tick / 4)
        parts.append(f'<path class="grid" d="M{x:.1f} {top}V{bottom}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{tick / 4:.2f}</text>')
    return parts


def _svg(parts: list[str], height: float, label: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(label)}">'
        + "".join(parts)
        + "</svg>"
    )
