"""Figures of the speed measurements in benchmarks/: a number, its target, and what it is compared with."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from agentq.errors import EvaluationError


@dataclass(frozen=True)
class Figure:
    """One measured number; without ``target`` for information. ``reference``: what it is compared with."""

    name: str  # in snake_case; the unit, where there is one, is its last part
    value: float
    target: float | None
    better: Literal["higher", "lower"]
    reference: str

    @property
    def reached(self) -> bool:
        """Whether the value is as good as the target; always so without one."""
        if self.target is None:
            return True
        return self.value >= self.target if self.better == "higher" else self.value <= self.target

    def line(self) -> str:
        """For people: value, target and reference."""
        goal = (
            "" if self.target is None else f"  target {self.target:<8,.7g} {'' if self.reached else 'MISSED'}"
        )
        return f"{self.name:<50} {self.value:>14,.3f}{goal}  {self.reference}"


def rounds_in_time(
    count: int, seconds: float, least: int = 3, clock: Callable[[], float] = time.monotonic
) -> Iterator[int]:
    """0, 1, ... below ``count``; ends early when the next round would pass ``seconds`` from now.

    The next round is judged by the longest so far. Raises ``EvaluationError`` when that leaves fewer than
    ``least`` rounds (or ``count``, if smaller): a median of so few on a starved machine is no figure.
    """
    begun, longest = clock(), 0.0
    for number in range(count):
        start = clock()
        if number and start - begun + 1.2 * longest > seconds:
            if number < min(least, count):
                raise EvaluationError(
                    f"{number} of {count} rounds took {start - begun:.0f} s, expected at least "
                    f"{min(least, count)} in {seconds:.0f} s. Measure again when the machine is idle."
                )
            print(f"stopped after {number} of {count} rounds to end in time", file=sys.stderr)
            return
        yield number
        longest = max(longest, clock() - start)


def print_figures(figures: Sequence[Figure], as_json: bool) -> None:
    """Lines for people, or one JSON object ``{"figures": [...]}`` on stdout.

    The object has the figures that have a target; the others then go to stderr as lines.
    """
    if not as_json:
        print("\n".join(figure.line() for figure in figures))
        return
    for figure in figures:
        if figure.target is None:
            print(figure.line(), file=sys.stderr)
    aimed = [asdict(figure) for figure in figures if figure.target is not None]
    print(json.dumps({"figures": aimed}, allow_nan=False))
