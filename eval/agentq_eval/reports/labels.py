"""How arms and numbers are named to people, the same in plots, tables, pages and terminals."""

from __future__ import annotations

import math
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

OUTCOMES = {
    "finished": "finished",
    "failed": "failed",
    "timed_out": "timed out",
    "infrastructure": "lost to infrastructure",
    "pending": "not played yet",
    "step_limit": "cut by the step limit",
    "retried": "retried after an infrastructure error",
}


def arm_label(name: str, n: int | str) -> str:
    """The arm's name for people; ``n`` is the number of candidates or the letter N."""
    known = _LABELS.get(name)
    if known is not None:
        return known.format(n=n)
    words = name.replace("_", " ")
    return words if n in (1, "N") else f"{words} of {n}"


def percent(value: float | None, signed: bool = False, digits: int = 1) -> str:
    """A share as a percentage with a real minus sign; "undefined" when there is none."""
    if value is None:
        return "undefined"
    return (f"{value:+.{digits}%}" if signed else f"{value:.{digits}%}").replace("-", "−")


def interval(numbers: Mapping[str, Any], signed: bool = False, digits: int = 1) -> str:
    """ "[low, high]" as percentages; an open end is written as such, no interval as "no interval"."""
    low, high = numbers["low"], numbers["high"]
    if low is None and high is None:
        return "[no interval]"
    ends = ["no limit" if end is None else percent(end, signed, digits) for end in (low, high)]
    return f"[{ends[0]}, {ends[1]}]"


def number(value: float | None, digits: int = 3, signed: bool = False) -> str:
    """A plain number with a real minus sign; an en dash when there is none."""
    if value is None:
        return "–"
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    return text.replace("-", "−")


def span(numbers: Mapping[str, Any], digits: int = 3, signed: bool = False) -> str:
    """ "[low, high]" as plain numbers; an open end is "no limit"."""
    low, high = numbers["low"], numbers["high"]
    if low is None and high is None:
        return "[no interval]"
    ends = ["no limit" if end is None else number(end, digits, signed) for end in (low, high)]
    return f"[{ends[0]}, {ends[1]}]"


def amount(value: float | None, unit: str = "") -> str:
    """A quantity of any size to about three digits: 0.0042 s, 12.3 s, 1,240."""
    if value is None:
        return "–"
    if value == 0:
        text = "0"
    elif abs(value) >= 100:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"
    return f"{text}\u202f{unit}".replace("-", "−") if unit else text.replace("-", "−")


def p_value(value: float | None) -> str:
    """A p value; tiny ones as a bound."""
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def headline(report: Mapping[str, Any]) -> str:
    """The one sentence of the report."""
    gain, share = report["gain"], report["oracle_gap_closed"]
    if gain["arm"] is None or gain["base"] is None or gain["arm"] not in report["arms"]:
        return _best_arm(report)
    n = report["arms"][gain["arm"]]["n_candidates"]
    method = (
        f"Choosing the best of {n} candidates by Q"
        if gain["arm"] == "best_of_n"
        else _subject(gain["arm"], n)
    )
    text = (
        f"{method} scores {percent(gain['relative'], True, 0)} "
        f"{interval(gain, True, 0)} over {arm_label(gain['base'], report['arms'][gain['base']]['n_candidates'])}"
    )
    if share["value"] is None:
        return text + "."
    closed = f"{percent(share['value'], digits=0)} {interval(share, digits=0)}"
    return f"{text} and closes {closed} of the gap to the oracle."


def _best_arm(report: Mapping[str, Any]) -> str:
    arms = report["arms"]
    name = max(arms, key=lambda name: arms[name]["score"]["mean"])
    score = arms[name]["score"]
    lead = _subject(name, arms[name]["n_candidates"])
    if report["accounting"]["total"]["pending"]:  # arms may have played different tasks
        return f"So far {lead[:1].lower()}{lead[1:]} scores {number(score['mean'])} {span(score)}."
    compared = f", the highest of {len(arms)} arms" if len(arms) > 1 else ""
    return f"{lead} scores {number(score['mean'])} {span(score)} on {report['tasks']} tasks{compared}."


def _subject(name: str, n: int) -> str:
    label = arm_label(name, n)
    return label[:1].upper() + label[1:]
