"""Whether the critic's values can be believed: calibration, ranking within a state, regret of the choice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agentq_eval.reports.evidence import Evidence, StateValues
from agentq_eval.reports.settings import ArmKey, Report, ReportSettings
from agentq_eval.statistics import Estimate
from agentq_eval.value_metrics.calibration import reliability
from agentq_eval.value_metrics.ranking import ranking
from agentq_eval.value_metrics.regret import selective_regret

Floats = NDArray[np.float64]


def value_figures(evidence: Evidence, settings: ReportSettings) -> list[Report]:
    """One entry per arm whose critic's values were logged; parts without data are empty or null."""
    return [
        _arm(key, states, settings)
        for key, states in evidence.values.items()
        if any(len(s.q) for s in states)
    ]


def _arm(key: ArmKey, states: Sequence[StateValues], settings: ReportSettings) -> Report:
    ended = [s for s in states if s.future is not None]
    labelled = [s for s in states if s.labels is not None and np.isfinite(s.labels).any()]
    calibration: list[Report] = []
    if any(np.isfinite(s.q[s.chosen]) for s in ended):
        chosen = np.array([s.q[s.chosen] for s in ended])
        futures = np.array([s.future for s in ended], dtype=np.float64)
        calibration.append(_calibrated("return", chosen, futures, [s.task for s in ended], settings))
    figures: Report = {"rank_correlation": None, "selective_regret": None}
    if labelled:
        q = np.concatenate([s.q for s in labelled])
        labels = np.concatenate([_labels(s) for s in labelled])
        of_candidates = [s.task for s in labelled for _ in s.q]
        calibration.append(_calibrated("label", q, labels, of_candidates, settings))
        figures = _within_states(labelled, q, labels, settings)
    return {
        "arm": key[0],
        "n_candidates": key[1],
        "decisions": len(states),
        "calibration": [part for part in calibration if part["n"]],
        **figures,
    }


def _calibrated(
    against: str, q: Floats, outcomes: Floats, tasks: Sequence[str], settings: ReportSettings
) -> Report:
    """Reliability curve over bins of equal count, expected calibration error, mean of q - outcome."""
    found = reliability(q, outcomes, tasks, repetitions=min(settings.repetitions, 1000), seed=settings.seed)
    bins = [
        {"q": part.q, "outcome": part.outcome.value, **_ends(part.outcome), "count": part.outcome.n}
        for part in found.bins
    ]
    return {
        "against": against,
        "n": sum(part.outcome.n for part in found.bins),
        "ece": found.ece,
        "bias": found.bias.value,
        "bins": bins,
    }


def _within_states(
    states: Sequence[StateValues], q: Floats, labels: Floats, settings: ReportSettings
) -> Report:
    sizes, tasks = [len(s.q) for s in states], [s.task for s in states]
    repetitions = min(settings.repetitions, 2000)
    ranks = ranking(q, labels, sizes, tasks, repetitions=repetitions, seed=settings.seed)
    lost = selective_regret(
        labels, sizes, [s.chosen for s in states], tasks, repetitions=repetitions, seed=settings.seed
    )
    regret = _over_states(lost.chosen)
    return {
        "rank_correlation": _over_states(ranks.spearman),
        "kendall_tau": _over_states(ranks.kendall),
        "selective_regret": None if regret is None else {**regret, "random": lost.random.value},
    }


def _over_states(estimate: Estimate) -> Report | None:
    if not estimate.n:
        return None
    return {"value": estimate.value, **_ends(estimate), "states": estimate.n}


def _labels(state: StateValues) -> Floats:
    assert state.labels is not None
    return state.labels


def _ends(estimate: Estimate) -> Report:
    return {"low": estimate.low, "high": estimate.high}
