"""Arms against each other: gain over a base, share of the oracle's gap, paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from agentq_eval.reports.cohort import Cohort
from agentq_eval.reports.settings import ArmKey, Report, ReportSettings, limits
from agentq_eval.statistics import holm, mcnemar, wilcoxon

_LEFT_OUT: Report = {"arm": None, "base": None, "reason": "left out: not in the suite's metrics"}


@dataclass(frozen=True, slots=True)
class Roles:
    """Which arms play the parts of the headline; None where an arm does not exist."""

    method: ArmKey | None
    bases: tuple[ArmKey, ...]  # the best one first
    oracle: ArmKey | None

    @property
    def base(self) -> ArmKey | None:
        """The better base."""
        return self.bases[0] if self.bases else None


def find_roles(cohort: Cohort, main: Mapping[str, ArmKey], settings: ReportSettings) -> Roles:
    """The arms that were played, bases by falling mean score."""

    def mean(key: ArmKey) -> float:
        return sum(result.score for result in cohort.cells[key]) / len(cohort.cells[key])

    bases = sorted((main[name] for name in settings.bases if name in main), key=mean, reverse=True)
    return Roles(main.get(settings.method), tuple(bases), main.get(settings.oracle))


def gain(cohort: Cohort, roles: Roles, settings: ReportSettings) -> Report:
    """Mean score of the method over that of the better base, minus 1; null with a ``reason``."""
    names = {"arm": _name(roles.method), "base": _name(roles.base)}
    if "gain" not in settings.sections:
        return {"relative": None, "low": None, "high": None, "n": 0, **_LEFT_OUT}
    reason = _missing(roles, settings, with_oracle=False)
    shared = None
    if roles.method and roles.bases:
        shared = cohort.shared(roles.method, *roles.bases)
        reason = reason or (None if shared else "the arms have no episode in common yet")
    if reason or shared is None:
        return {"relative": None, "low": None, "high": None, "n": 0, **names, "reason": reason}
    bases = [shared.scores(1 + i) for i in range(len(roles.bases))]
    found = shared.bootstrap.relative_gain(shared.scores(0), *bases)
    reason = "the base scores 0" if found.value is None else None
    return {"relative": found.value, **limits(found), **names, "reason": reason}


def gap_closed(cohort: Cohort, roles: Roles, settings: ReportSettings) -> Report:
    """(method - base) / (oracle - base) of mean scores; null with a ``reason``."""
    names = {"arm": _name(roles.method), "base": _name(roles.base)}
    if "gain" not in settings.sections:
        return {"value": None, "low": None, "high": None, "n": 0, **_LEFT_OUT}
    reason = _missing(roles, settings, with_oracle=True)
    shared = None
    if roles.method and roles.bases and roles.oracle:
        shared = cohort.shared(roles.method, roles.oracle, *roles.bases)
        reason = reason or (None if shared else "the arms have no episode in common yet")
    if reason or shared is None:
        return {"value": None, "low": None, "high": None, "n": 0, **names, "reason": reason}
    bases = [shared.scores(2 + i) for i in range(len(roles.bases))]
    found = shared.bootstrap.gap_closed(shared.scores(0), shared.scores(1), *bases)
    reason = "the oracle is not above the base" if found.value is None else None
    return {"value": found.value, **limits(found), **names, "reason": reason}


def all_pairs(cohort: Cohort, main: Mapping[str, ArmKey]) -> list[Report]:
    """Paired differences of every two arms, the later one minus the earlier one."""
    rows = [difference(cohort, arm, base) for base, arm in combinations(main.values(), 2)]
    return [row for row in rows if row is not None]


def against_base(cohort: Cohort, roles: Roles) -> list[Report]:
    """Paired differences of every arm at every N against the better base, or the first arm without a base.

    p values are corrected over these rows.
    """
    base = roles.base or next(iter(cohort.cells))
    found = [difference(cohort, key, base) for key in cohort.cells if key != base]
    rows = [row for row in found if row is not None]
    for test in ("mcnemar_p", "wilcoxon_p"):
        for row, corrected in zip(rows, holm([row[test] for row in rows]), strict=True):
            row[f"{test}_holm"] = corrected
    return rows


def difference(cohort: Cohort, arm: ArmKey, base: ArmKey) -> Report | None:
    """``arm`` minus ``base`` on the episodes that both played; None without any."""
    shared = cohort.shared(arm, base)
    if shared is None:
        return None
    score = shared.bootstrap.difference(shared.scores(0), shared.scores(1))
    success = shared.bootstrap.difference(shared.successes(0), shared.successes(1))
    return {
        "arm": arm[0],
        "n_candidates": arm[1],
        "base": base[0],
        "base_n_candidates": base[1],
        "score": {"difference": score.value, **limits(score)},
        "success": {"difference": success.value, **limits(success)},
        "mcnemar_p": mcnemar(shared.successes(0), shared.successes(1)).p,
        "wilcoxon_p": wilcoxon(shared.scores(0), shared.scores(1)),
        **won_lost(shared.scores(0), shared.scores(1)),
    }


def won_lost(scores: Sequence[float], base: Sequence[float]) -> Report:
    """On how many episodes the arm scored more, the same and less."""
    won = sum(a > b for a, b in zip(scores, base, strict=True))
    lost = sum(a < b for a, b in zip(scores, base, strict=True))
    return {"won": won, "lost": lost, "tied": len(scores) - won - lost}


def _missing(roles: Roles, settings: ReportSettings, *, with_oracle: bool) -> str | None:
    if roles.method is None:
        return f"no arm {settings.method!r} was played"
    if not roles.bases:
        return f"no arm {' or '.join(map(repr, settings.bases))} was played"
    if with_oracle and roles.oracle is None:
        return f"no arm {settings.oracle!r} was played"
    return None


def _name(key: ArmKey | None) -> str | None:
    return key[0] if key else None
