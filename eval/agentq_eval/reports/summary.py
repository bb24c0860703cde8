"""The headline figures of a report for a terminal."""

from __future__ import annotations

from agentq_eval.reports.labels import OUTCOMES, percent, span
from agentq_eval.reports.settings import Report


def summary(report: Report) -> str:
    """A line per arm at the headline's N, then gain and share of the oracle gap, or why there is none.

    The last line says what became of the planned episodes.
    """
    width = max(map(len, report["arms"]), default=0)
    lines: list[str] = []
    for name, arm in report["arms"].items():
        score, success = arm["score"], arm["success"]
        lines.append(
            f"{name:{width}}  score {score['mean']:.3f} {span(score)}  success {success['rate']:.3f} {span(success)}"
        )
    if "gain" in report["settings"]["sections"]:
        gain, closed = report["gain"], report["oracle_gap_closed"]
        base = f" of {gain['arm']} over {gain['base']}" if gain.get("base") else ""
        lines.append(f"gain{base}: {_share(gain, 'relative')}")
        lines.append(f"oracle gap closed: {_share(closed, 'value')}")
    lines.append(_episodes(report["accounting"]["total"]))
    return "\n".join(lines)


def _episodes(total: Report) -> str:
    outcomes = (
        "finished",
        "failed",
        "timed_out",
        "infrastructure",
        *(["pending"] if total["pending"] else []),
    )
    parts = ", ".join(f"{total[name]:,} {OUTCOMES[name]}" for name in outcomes)
    return f"episodes planned: {total['planned']:,} ({parts}; {total['retried']:,} retried)"


def _share(estimate: Report, key: str) -> str:
    if estimate[key] is None:
        return f"undefined ({estimate['reason']})" if estimate.get("reason") else "undefined"
    low, high = (
        percent(estimate[end], digits=0) if estimate[end] is not None else "no limit"
        for end in ("low", "high")
    )
    return f"{percent(estimate[key], digits=0)} [{low}, {high}]"
