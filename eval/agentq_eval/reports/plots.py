"""PNG plots of a report, drawn without a display."""

# matplotlib leaves its keyword arguments untyped.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentq_eval.reports.labels import BOUND, BY_CRITIC, arm_label, headline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACCENT, MUTED, LINE = "#2563c9", "#a9b1bd", "#3b4453"
_CURVE_COLOURS = {
    "best_of_n": ACCENT,
    "softmax": "#0e8f7e",
    "majority": "#8a6d3b",
    "oracle": LINE,
    "sampled": MUTED,
    "greedy": "#c2613f",
}

#: Of arms with other names.
_OTHERS = ("#8a5cc2", "#a8741a", "#b93b74", "#4f7d1f")


def plot_gain(report: dict[str, Any], path: Path) -> None:
    """Mean score of every arm at the main N, with intervals."""
    arms = report["arms"]
    names = list(arms)
    figure, axes = _figure(height=0.62 * len(names) + 1.5)
    for row, name in enumerate(names):
        score = arms[name]["score"]
        roles = report["settings"]
        bound = name in BOUND or name == roles["oracle"]
        colour = "none" if bound else ACCENT if name in (*BY_CRITIC, roles["method"]) else MUTED
        edge, style = (LINE, "--") if bound else (colour, "-")
        axes.barh(row, score["mean"], height=0.62, color=colour, edgecolor=edge, linestyle=style)
        right = score["mean"]
        if score["low"] is not None and score["high"] is not None:
            axes.plot(
                [score["low"], score["high"]], [row, row], color=LINE, linewidth=1.6, solid_capstyle="butt"
            )
            right = score["high"]
        axes.text(right + 0.012, row, f"{score['mean']:.3f}", va="center", fontsize=10, color=LINE)
    axes.set_yticks(range(len(names)), [arm_label(name, arms[name]["n_candidates"]) for name in names])
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel(_subject(report))
    axes.set_title(_two_lines(headline(report)), fontsize=10.5, loc="left", color=LINE)
    figure.savefig(path, dpi=160)


def plot_curve(report: dict[str, Any], path: Path) -> None:
    """Mean score over the number of candidates N, one line per arm, intervals as bands."""
    figure, axes = _figure(height=4.2)
    sizes = sorted({point["n_candidates"] for points in report["curve"].values() for point in points})
    others = cycle(_OTHERS)
    for name, points in report["curve"].items():
        colour = _CURVE_COLOURS.get(name) or (
            ACCENT if name == report["settings"]["method"] else next(others)
        )
        style = "--" if name in (*BOUND, report["settings"]["oracle"]) else "-"
        # An arm without candidates is the same at every N: a level across the plot.
        flat = len(points) == 1 and points[0]["n_candidates"] == 1
        rows = [points[0]] * len(sizes) if flat else points
        xs = sizes if flat else [point["n_candidates"] for point in points]
        label = arm_label(name, "N")
        axes.plot(
            xs,
            [p["score"]["mean"] for p in rows],
            style,
            color=colour,
            marker="" if flat else "o",
            label=label,
        )
        if all(p["score"]["low"] is not None and p["score"]["high"] is not None for p in rows):
            lows, highs = [p["score"]["low"] for p in rows], [p["score"]["high"] for p in rows]
            axes.fill_between(xs, lows, highs, color=colour, alpha=0.12, linewidth=0)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_ylim(0, 1)
    axes.set_xlabel("candidates per decision, N")
    axes.set_ylabel("mean score")
    axes.set_title(_subject(report), fontsize=10.5, loc="left", color=LINE)
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, dpi=160)


def _figure(height: float) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _subject(report: dict[str, Any]) -> str:
    seeds = len(report["seeds"])
    return (
        f"mean score on {report['tasks']} tasks, {seeds} seed{'s' if seeds > 1 else ''}, "
        f"{report['confidence']:.0%} intervals"
    )


def _two_lines(text: str) -> str:
    return text.replace(" and closes", "\nand closes")
