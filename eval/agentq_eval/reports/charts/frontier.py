"""Cost frontier: score against what a decision costs; arms on the line are beaten by no cheaper one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from agentq_eval.reports.charts.svg import (
    HALF,
    Canvas,
    Look,
    Scale,
    both,
    looks,
    nice_ticks,
    text_width,
    tick_text,
)
from agentq_eval.reports.labels import BOUND, amount, arm_label, number, span


@dataclass(frozen=True, slots=True)
class Spot:
    """One arm at one N."""

    label: str
    look: Look
    cost: float
    score: Mapping[str, Any]
    bound: bool  # the oracle: its cost is not that of an agent

    @property
    def mean(self) -> float:
        """Mean score."""
        return self.score["mean"]


def frontier_chart(report: Mapping[str, Any], unit: str) -> Markup | None:
    """Score over ``unit`` ("tokens" or "seconds") per decision; None where that was not measured."""
    spots = frontier_spots(report, unit)
    if len({spot.cost for spot in spots}) < 2:
        return None
    return both(lambda width, css: _draw(spots, unit, width, css), HALF)


def frontier_spots(report: Mapping[str, Any], unit: str) -> list[Spot]:
    """Every arm at every N with a cost above 0, cheapest first, at equal cost the best first."""
    styles, bounds = looks(report), {*BOUND, report["settings"]["oracle"]}
    points = {
        (name, point["n_candidates"]): point
        for name, curve in report["curve"].items()
        for point in curve
        if len(curve) == 1 or point["n_candidates"] > 1 or name == report["settings"]["one_sample"]
    }
    spots = [
        Spot(arm_label(name, n), styles[name], point[f"{unit}_per_decision"], point["score"], name in bounds)
        for (name, n), point in points.items()
        if point[f"{unit}_per_decision"]
    ]
    return sorted(spots, key=lambda spot: (spot.cost, -spot.mean))


def efficient(spots: Sequence[Spot]) -> list[Spot]:
    """Spots that score more than everything that costs no more; bounds are left out."""
    best: list[Spot] = []
    for spot in spots:  # cheapest first
        if not spot.bound and (not best or spot.mean > best[-1].mean):
            best.append(spot)
    return best


def _draw(spots: Sequence[Spot], unit: str, width: int, css: str) -> Markup:
    height, left, right = (300, 44, 20) if css == "wide" else (290, 38, 12)
    top, bottom = 14, height - 46
    canvas = Canvas(width, height)
    scores = nice_ticks(min(s.mean for s in spots) - 0.02, max(s.mean for s in spots) + 0.02)
    costs = _round_costs(spots)
    x = Scale(costs[0], costs[-1], left + 4, width - right, log=_spans_much(spots))
    write = "{:,g}".format if x.log else tick_text(costs)
    y = Scale(scores[0], scores[-1], bottom, top)
    canvas.grid_y(y, scores, left, width - right, tick_text(scores))
    for tick in costs:
        canvas.text(x(tick), bottom + 20, write(tick), "tick", "middle" if tick != costs[-1] else "end")
    canvas.text((left + width - right) / 2, height - 6, f"{unit} per decision", "axis", "middle")
    line = efficient(spots)
    if len(line) > 1:
        canvas.path([(x(spot.cost), y(spot.mean)) for spot in line], "frontier")
    _labels(canvas, spots, x, y, width - right)
    for spot in spots:
        tip = f"{spot.label}: {number(spot.mean)} {span(spot.score)}, {amount(spot.cost)} {unit} per decision"
        canvas.marker(x(spot.cost), y(spot.mean), spot.look, tip, hollow=spot.bound)
    described = ". ".join(f"{s.label}: {number(s.mean)} for {amount(s.cost)} {unit}" for s in spots)
    return canvas.svg(f"cost-{unit}-{css}", f"Score against {unit} per decision", described, css)


@dataclass(frozen=True, slots=True)
class _Box:
    """A rectangle that is taken: a marker or a label."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: _Box) -> float:
        """The common area."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        tall = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(wide, 0) * max(tall, 0)


#: Where a label may stand beside its point, best first: side (1 right, -1 left, 0 centred), pixels down.
_SIDES = (
    (1, 0),
    (-1, 0),
    (1, -13),
    (1, 13),
    (-1, 13),
    (-1, -13),
    (0, -15),
    (0, 17),
    (1, 26),
    (-1, 26),
    (-1, -26),
)


def _labels(canvas: Canvas, spots: Sequence[Spot], x: Scale, y: Scale, edge: float) -> None:
    """Each label at the first of its places that touches no point and no label, else at the least bad one."""
    taken = [_Box(x(s.cost) - 7, y(s.mean) - 7, x(s.cost) + 7, y(s.mean) + 7) for s in spots]
    inside = _Box(x.start - 4, 0, edge + 8, canvas.height - 44)
    for spot in sorted(spots, key=lambda spot: -spot.mean):
        at, height = x(spot.cost), y(spot.mean)
        wide = text_width(spot.label, 12)

        def box(side: int, down: int, at: float = at, height: float = height, wide: float = wide) -> _Box:
            left = at + 11 if side > 0 else at - 11 - wide if side < 0 else at - wide / 2
            return _Box(left, height + down - 7, left + wide, height + down + 6)

        def harm(place: tuple[int, int], wide: float = wide) -> float:
            here = box(*place)
            clashes = sum(here.overlap(other) for other in taken)
            return round(clashes + wide * 13 - here.overlap(inside), 3)

        side, down = min(_SIDES, key=harm)  # the first of equals
        found = box(side, down)
        taken.append(found)
        canvas.text(found.left, height + down + 4, spot.label, f"label small {spot.look.css}")


def _spans_much(spots: Sequence[Spot]) -> bool:
    return max(s.cost for s in spots) > 6 * min(s.cost for s in spots)


def _round_costs(spots: Sequence[Spot]) -> list[float]:
    low, high = min(s.cost for s in spots), max(s.cost for s in spots)
    if not _spans_much(spots):
        return nice_ticks(max(low - (high - low) * 0.08, 0.0), high + (high - low) * 0.08)
    ticks: list[float] = []
    power = 1e-9
    while power < 1e12:
        ticks += [power * factor for factor in (1, 2, 5)]
        power *= 10
    first = max((i for i, tick in enumerate(ticks) if tick <= low), default=0)
    last = next(i for i, tick in enumerate(ticks) if tick >= high)
    shown = ticks[first : last + 1]
    return (
        shown if len(shown) <= 8 else [t for t in shown if f"{t:.0e}"[0] == "1" or t in (shown[0], shown[-1])]
    )
