"""What a better choice costs: extra tokens and seconds, and how much of them per point of score."""

from __future__ import annotations

from agentq_eval.reports.cohort import Cohort
from agentq_eval.reports.contrasts import Roles
from agentq_eval.reports.settings import ArmKey, Report

POINT = 0.01  # of score


def cost_of_gain(cohort: Cohort, roles: Roles) -> list[Report]:
    """Per arm against the base: extra tokens and seconds per episode, and per point of score gained."""
    if roles.base is None:
        return []
    rows = [_row(cohort, key, roles.base) for key in cohort.cells if key != roles.base]
    return [row for row in rows if row is not None]


def _row(cohort: Cohort, arm: ArmKey, base: ArmKey) -> Report | None:
    shared = cohort.shared(arm, base)
    if shared is None:
        return None
    ours, theirs = shared.cells
    count = len(ours)
    points = sum(shared.scores(0)) - sum(shared.scores(1))
    points /= count * POINT
    row: Report = {
        "arm": arm[0],
        "n_candidates": arm[1],
        "base": base[0],
        "base_n_candidates": base[1],
        "points": points,
    }
    extras = {
        "tokens": sum(r.tokens for r in ours) - sum(r.tokens for r in theirs),
        "seconds": sum(r.seconds for r in ours) - sum(r.seconds for r in theirs),
    }
    for unit, extra in extras.items():
        row[f"extra_{unit}_per_episode"] = extra / count
        # Without a gain there is no price: not a negative one, which would read like a bargain.
        row[f"{unit}_per_point"] = extra / count / points if points > 0 else None
    return row
