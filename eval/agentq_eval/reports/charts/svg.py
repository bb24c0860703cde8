"""What every chart is drawn with: a canvas, scales with readable ticks, one look per arm.

A chart is drawn twice, for a wide and for a narrow screen, at a scale of one unit per CSS pixel: text then has
the same size everywhere. The style sheet shows one of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from markupsafe import Markup, escape

WIDE, HALF, NARROW = 904, 428, 344
#: Mean width of a character in units of its font size, on the generous side: labels must not be cut.
_CHARACTER = 0.56
FONT = 13


@dataclass(frozen=True, slots=True)
class Look:
    """How an arm is drawn everywhere: colour class of the style sheet, marker, line."""

    css: str
    marker: int = 0
    dashed: bool = False
    accent: bool = False


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values to pixels, linearly, or by logarithm for values above 0."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        low, high, value = (
            (math.log(self.low), math.log(self.high), math.log(value))
            if self.log
            else (self.low, self.high, value)
        )
        return self.start + (value - low) / ((high - low) or 1) * (self.end - self.start)


@dataclass
class Canvas:
    """Collects elements; coordinates are pixels from the top left."""

    width: float
    height: float
    parts: list[Markup] = field(default_factory=list[Markup])

    def add(self, tag: str, css: str = "", tip: str = "", **attributes: float | str) -> None:
        """One element; ``tip`` is shown when it is pointed at."""
        words = "".join(f' {name.replace("_", "-")}="{_text(value)}"' for name, value in attributes.items())
        style = f' class="{escape(css)}"' if css else ""
        inner = f"<title>{escape(tip)}</title>" if tip else ""
        self.parts.append(Markup(f"<{tag}{style}{words}>{inner}</{tag}>"))

    def text(self, x: float, y: float, text: str, css: str = "", anchor: str = "start", **more: str) -> None:
        """Text with its baseline at ``y``."""
        style = f' class="{escape(css)}"' if css else ""
        words = "".join(f' {name}="{escape(value)}"' for name, value in more.items())
        place = f'x="{_text(x)}" y="{_text(y)}" text-anchor="{anchor}"'
        self.parts.append(Markup(f"<text{style} {place}{words}>{escape(text)}</text>"))

    def path(
        self, points: Sequence[tuple[float, float]], css: str, tip: str = "", close: bool = False
    ) -> None:
        """Straight lines through points."""
        steps = "L".join(f"{_text(x)} {_text(y)}" for x, y in points)
        self.add("path", css, tip, d=f"M{steps}{'Z' if close else ''}")

    def line(self, x1: float, y1: float, x2: float, y2: float, css: str) -> None:
        """One straight line."""
        self.path([(x1, y1), (x2, y2)], css)

    def marker(
        self, x: float, y: float, look: Look, tip: str = "", size: float = 5, hollow: bool = False
    ) -> None:
        """A point; its shape tells arms apart without colour."""
        css = f"mark {look.css}{' hollow' if hollow else ''}"
        shape = look.marker % 4
        if shape == 0:
            self.add("circle", css, tip, cx=x, cy=y, r=size)
        elif shape == 1:
            side = size * 0.88
            self.add("rect", css, tip, x=x - side, y=y - side, width=2 * side, height=2 * side)
        else:
            wide = size * 1.25
            diamond = [(x, y - wide), (x + wide, y), (x, y + wide), (x - wide, y)]
            triangle = [(x, y - wide), (x + wide, y + size * 0.9), (x - wide, y + size * 0.9)]
            self.path(diamond if shape == 2 else triangle, css, tip, close=True)

    def grid_x(
        self, scale: Scale, ticks: Sequence[float], top: float, bottom: float, label: Callable[[float], str]
    ) -> None:
        """Vertical lines with their values below."""
        for tick in ticks:
            self.line(scale(tick), top, scale(tick), bottom, "grid")
            self.text(scale(tick), bottom + 18, label(tick), "tick", "middle")

    def grid_y(
        self, scale: Scale, ticks: Sequence[float], left: float, right: float, label: Callable[[float], str]
    ) -> None:
        """Horizontal lines with their values on the left."""
        for tick in ticks:
            self.line(left, scale(tick), right, scale(tick), "grid")
            self.text(left - 8, scale(tick) + 4, label(tick), "tick", "end")

    def svg(self, name: str, title: str, description: str, css: str = "") -> Markup:
        """The drawing; it can be focused, and title and description are read out."""
        head = Markup(
            '<svg class="chart {css}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
            'tabindex="0" aria-labelledby="{name}-t {name}-d"><title id="{name}-t">{title}</title>'
            '<desc id="{name}-d">{description}</desc>'
        ).format(
            css=css,
            width=_text(self.width),
            height=_text(self.height),
            name=name,
            title=title,
            description=description,
        )
        return head + Markup("").join(self.parts) + Markup("</svg>")


def both(draw: Callable[[int, str], Markup | None], width: int = WIDE) -> Markup | None:
    """A chart for wide and for narrow screens; ``draw(width, css)``. None: there is nothing to draw."""
    wide, narrow = draw(width, "wide"), draw(NARROW, "narrow")
    return None if wide is None or narrow is None else wide + narrow


def looks(report: Mapping[str, Any]) -> dict[str, Look]:
    """One look per arm's name: the method in the accent colour, the bound dashed, bases in quiet ones."""
    roles = report["settings"]
    names = list(report["curve"])
    found: dict[str, Look] = {}
    others = 0
    for position, name in enumerate(names):
        if name == roles["method"]:
            found[name] = Look("c-method", 0, accent=True)
        elif name == roles["oracle"]:
            found[name] = Look("c-bound", 2, dashed=True)
        elif name in roles["bases"]:
            found[name] = Look(f"c-base{roles['bases'].index(name) % 2}", 1 + position % 2 * 2)
        else:
            found[name] = Look(f"c-other{others % 5}", 1 + others % 3)
            others += 1
    return found


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` round numbers that cover [low, high]; the first is at or below, the last at or above."""
    if not high > low:
        low, high = low - 0.5, high + 0.5
    raw = (high - low) / max(count - 1, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(
        (factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999), 10 * power
    )
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def tick_text(ticks: Sequence[float], signed: bool = False) -> Callable[[float], str]:
    """Writes ticks with as many decimals as the step between them needs."""
    step = abs(ticks[1] - ticks[0]) if len(ticks) > 1 else 1.0
    digits = next((d for d in range(6) if abs(round(step, d) - step) < 1e-9), 6)

    def write(value: float) -> str:
        value = 0.0 if abs(value) < 1e-12 else value
        text = f"{value:+,.{digits}f}" if signed and value else f"{value:,.{digits}f}"
        return text.replace("-", "−")

    return write


def text_width(text: str, size: float = FONT) -> float:
    """About how wide a text is, in pixels."""
    return len(text) * size * _CHARACTER


def shorten(text: str, width: float, size: float = FONT) -> str:
    """The text, cut with an ellipsis to fit."""
    room = max(int(width / (size * _CHARACTER)), 2)
    return text if len(text) <= room else f"{text[: room - 1].rstrip()}…"


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places moved apart to at least ``gap``, in their order, inside [low, high] as far as they fit."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = list(places)
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + gap)
    over = moved[order[-1]] - high if order else 0
    if over > 0:
        moved[order[-1]] -= over
        for after, before in zip(order[::-1], order[-2::-1], strict=False):
            moved[before] = min(moved[before], moved[after] - gap)
    return [max(place, low) for place in moved]


def _text(value: float | str) -> str:
    return str(escape(value)) if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
