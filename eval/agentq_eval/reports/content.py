"""From episodes to the content of ``report.json``; the schema is docs/report_schema.md.

Scores and rates are always 0-1. The content is a pure function of results, plan, settings and metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from agentq.errors import EvaluationError
from agentq_eval.episodes import Cells, EpisodeResult, check_paired, group
from agentq_eval.reports.accounting import (
    account,
    check_planned,
    counted,
    lost_pairs,
    planned_pairs,
    retried_as_failed,
    total,
    was_retried,
)
from agentq_eval.reports.arm_figures import arm_figures, curve, main_arms
from agentq_eval.reports.cohort import Cohort, repetitions_for
from agentq_eval.reports.contrasts import Roles, against_base, all_pairs, find_roles, gain, gap_closed
from agentq_eval.reports.cost import cost_of_gain
from agentq_eval.reports.evidence import Evidence
from agentq_eval.reports.failures import failures
from agentq_eval.reports.notable import notable_episodes
from agentq_eval.reports.settings import SCHEMA_VERSION, ArmKey, Report, ReportSettings
from agentq_eval.reports.values import value_figures
from agentq_eval.runs.manifest import Manifest


def build_report(
    results: Iterable[EpisodeResult],
    metadata: Mapping[str, Any] | None = None,
    settings: ReportSettings | None = None,
    *,
    plan: Manifest | None = None,
    evidence: Evidence | None = None,
) -> Report:
    """The content of ``report.json``.

    With a ``plan`` episodes may be missing: they are pending. Without one every arm must have played the same
    (task, seed) pairs. ``metadata`` (title, configuration, provenance, ...) is stored under its key and must
    be JSON. ``evidence`` adds what the logged steps tell: value metrics and errors of retried attempts.

    Raises ``EvaluationError`` when a required arm is missing, the episodes are not those of the plan (or not
    paired), an episode is there twice, or a value is impossible.
    """
    settings = settings or ReportSettings()
    everything = _in_order(group(results), plan)
    planned = planned_pairs(plan) if plan else {key: set[tuple[str, int]]() for key in everything}
    if plan:
        check_planned(everything, planned)
    else:
        check_paired(everything)
    lost = lost_pairs(everything)
    strata: Mapping[str, str] = plan.strata if plan else {}
    cohort = Cohort(counted(everything, lost), settings, strata)
    main_n = _main_n(cohort, settings)
    main = main_arms(cohort, main_n)
    _check_required(main, settings)
    roles = find_roles(cohort, main, settings)
    shown = settings.sections
    episodes = [result for cell in everything.values() for result in cell]
    pairs = cohort.pairs
    return {
        "schema_version": SCHEMA_VERSION,
        "main_n": main_n,
        "tasks": len({task for task, _ in pairs}),
        "seeds": sorted({seed for _, seed in pairs}),
        "confidence": settings.confidence,
        "arms": {name: arm_figures(cohort.of(key)) for name, key in main.items()},
        "gain": gain(cohort, roles, settings),
        "oracle_gap_closed": gap_closed(cohort, roles, settings),
        "differences": against_base(cohort, roles) if "gain" in shown else [],
        "paired": all_pairs(cohort, main) if "gain" in shown else [],
        "curve": curve(cohort, settings),  # also the list of all arms for tables and the cost frontier
        "accounting": _accounting(everything, cohort, planned if plan else None),
        "sensitivity": _sensitivity(everything, roles, settings, strata),
        "values": value_figures(evidence, settings) if evidence and "values" in shown else [],
        "cost": cost_of_gain(cohort, roles) if "cost" in shown else [],
        "failures": failures(episodes, evidence.broken_off if evidence else ())
        if "failures" in shown
        else [],
        "notable": notable_episodes(cohort, roles) if "gain" in shown else None,
        "bootstrap": {
            "unit": "task",
            "repetitions": repetitions_for(len({task for task, _ in pairs}), settings.repetitions),
            "seed": settings.seed,
        },
        "settings": json.loads(json.dumps(asdict(settings))),
        "metadata": dict(metadata or {}),
    }


def _in_order(cells: Cells, plan: Manifest | None) -> Cells:
    """Arms in the order of the plan, then the rest."""
    if plan is None:
        return cells
    first = [(arm.name, arm.n) for arm in plan.arms]
    return {
        key: cells[key] for key in [*(k for k in first if k in cells), *(k for k in cells if k not in first)]
    }


def _main_n(cohort: Cohort, settings: ReportSettings) -> int:
    if not cohort.cells:
        raise EvaluationError(
            "no episode can be compared: infrastructure lost every one. Run the evaluation again; it retries them."
        )
    sizes = sorted({n for name, n in cohort.cells if name == settings.method})
    sizes = sizes or sorted({n for _, n in cohort.cells})
    if settings.main_n is not None and settings.main_n not in sizes:
        raise EvaluationError(
            f"no episodes of {settings.method} at N={settings.main_n} (it was played at {sizes}). "
            "Play them, or name another main_n."
        )
    return settings.main_n or (8 if 8 in sizes else sizes[-1])


def _check_required(main: Mapping[str, ArmKey], settings: ReportSettings) -> None:
    missing = [name for name in settings.required if name not in main]
    if missing:
        raise EvaluationError(
            f"no episodes of {', '.join(missing)}. Play them, or leave them out of ReportSettings.required."
        )


def _accounting(everything: Cells, cohort: Cohort, planned: Mapping[ArmKey, set[Any]] | None) -> Report:
    accounts = {
        key: account(
            everything.get(key, []),
            len(planned[key]) if planned is not None else len(everything[key]),
            len(cohort.cells.get(key, [])),
        )
        for key in (planned if planned is not None else everything)
    }
    rows = [{"arm": name, "n_candidates": n, **accounts[name, n].content()} for name, n in accounts]
    return {"arms": rows, "total": total(accounts.values()).content()}


def _sensitivity(
    everything: Cells, roles: Roles, settings: ReportSettings, strata: Mapping[str, str]
) -> Report:
    """The main figures had every retried or lost episode failed; without any there is nothing to show."""
    episodes = [result for cell in everything.values() for result in cell]
    affected = sum(was_retried(result) for result in episodes)
    report: Report = {"episodes": affected, "rule": "retried = failed", "arms": None, "gain": None}
    if not affected:
        return report
    cohort = Cohort(retried_as_failed(everything), settings, strata)
    arms = [
        {
            "arm": key[0],
            "n_candidates": key[1],
            "episodes": sum(was_retried(result) for result in everything[key]),
            **{name: arm_figures(cohort.of(key))[name] for name in ("score", "success")},
        }
        for key in everything
    ]
    return {
        **report,
        "arms": arms,
        "gain": gain(cohort, roles, settings),
        "oracle_gap_closed": gap_closed(cohort, roles, settings),
    }
