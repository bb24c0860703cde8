"""How arms and numbers are named to people, the same in plots, tables and pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LABELS = {
    "sampled": "one sample",
    "greedy": "greedy",
    "majority": "majority of {n}",
    "softmax": "softmax by Q of {n}",
    "best_of_n": "best of {n} by Q",
    "oracle": "oracle of {n}",
}
#: Arms that choose by the critic's values.
BY_CRITIC = ("softmax", "best_of_n")
#: Arms that nothing could have without knowing the answer: a bound, not a competitor.
BOUND = ("oracle",)


def arm_label(name: str, n: int | str) -> str:
    """The arm's name for people; ``n`` is the number of candidates or the letter N."""
    return _LABELS.get(name, name.replace("_", " ") + " of {n}").format(n=n)


def percent(value: float | None, signed: bool = False, digits: int = 1) -> str:
    """A share as a percentage; "undefined" when there is none."""
    if value is None:
        return "undefined"
    return f"{value:+.{digits}%}" if signed else f"{value:.{digits}%}"


def interval(numbers: Mapping[str, Any], signed: bool = False, digits: int = 1) -> str:
    """ "[low, high]" as percentages; an open end is written as such, no interval as "no interval"."""
    low, high = numbers["low"], numbers["high"]
    if low is None and high is None:
        return "[no interval]"
    ends = ["no limit" if end is None else percent(end, signed, digits) for end in (low, high)]
    return f"[{ends[0]}, {ends[1]}]"


def headline(report: Mapping[str, Any]) -> str:
    """The one sentence of the report."""
    gain, share, n = report["gain"], report["oracle_gap_closed"], report["main_n"]
    text = (
        f"Choosing the best of {n} candidates by Q scores {percent(gain['relative'], True, 0)} "
        f"{interval(gain, True, 0)} over {arm_label(gain['base'], 1)}"
    )
    if share["value"] is None:
        return text + "."
    closed = f"{percent(share['value'], digits=0)} {interval(share, digits=0)}"
    return f"{text} and closes {closed} of the gap to the oracle."
