"""A rescoring as text for the terminal."""

from __future__ import annotations

from agentq_eval.offline.agreement import Agreement
from agentq_eval.offline.off_policy import METHODS, OffPolicyReport
from agentq_eval.offline.rescore import RescoreReport
from agentq_eval.statistics import Estimate

_NAMES = {
    "is": "importance sampling",
    "wis": "weighted",
    "pdis": "per decision",
    "pdwis": "per decision, weighted",
    "dr": "doubly robust",
    "wdr": "doubly robust, weighted",
}


def rescore_text(report: RescoreReport) -> str:
    """One block per arm: agreement, then the off-policy estimates or why there are none."""
    chooser = report.selector or "the logged selectors"
    lines = [f"{report.source} scored again by {report.critic or 'another critic'}, chosen by {chooser}"]
    if len(report.arms) > 1:
        lines += ["", "all arms", *_agreement(report.all)]
    for arm in report.arms:
        lines += ["", f"{arm.arm}: {arm.episodes} episodes", *_agreement(arm.agreement)]
        if arm.agreement.open:
            lines += _values(arm.off_policy)
        else:
            lines.append("  no decision of this arm leaves a choice")
    return "\n".join(lines)


def _agreement(found: Agreement) -> list[str]:
    return [
        f"  same action         {_interval(found.same)} of {found.open} decisions with a choice, "
        f"{_interval(found.same_all)} of all {found.decisions}",
        f"  shared probability  {_interval(found.overlap)}",
        f"  rank correlation    {_interval(found.spearman)} of the values within {found.ranked} states",
    ]


def _values(found: OffPolicyReport) -> list[str]:
    lines = [f"  return as played    {_interval(found.logged)} (gamma {found.gamma:g})"]
    if found.refused:
        return [*lines, f"  new selector        no estimate: {found.refused}"]
    lines.append(
        f"  new selector        {found.effective:.1f} effective of {found.episodes} episodes, "
        f"mean weight {found.mean_weight:.3f}, largest share {found.max_share:.3f}"
    )
    for method in METHODS:
        lines.append(
            f"    {_NAMES[method]:<24}{_interval(found.estimates[method])}  "
            f"gain {_interval(found.gains[method], sign='+')}"
        )
    return lines


def _interval(found: Estimate, sign: str = "") -> str:
    if found.value is None:
        return "undefined"
    low, high = (_number(end, sign) for end in (found.low, found.high))
    return f"{_number(found.value, sign)} [{low}, {high}]"


def _number(value: float | None, sign: str) -> str:
    return "undefined" if value is None else format(round(value, 3) + 0.0, f"{sign}.3f")  # no -0.000
