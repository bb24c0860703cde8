"""Whether Q means what it says: reliability curve over bins of equal count, expected calibration error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from agentq.errors import EvaluationError
from agentq_eval.statistics import Estimate, TaskBootstrap
from agentq_eval.value_metrics.states import Floats, Indices, labels_of, tasks_at, values_of


@dataclass(frozen=True, slots=True)
class Bin:
    """Values next to each other and what came of them."""

    q: float  # mean
    low_q: float
    high_q: float
    outcome: Estimate  # mean outcome; n: values


@dataclass(frozen=True, slots=True)
class Calibration:
    """A reliability curve with its summary."""

    bins: tuple[Bin, ...]  # rising in q
    ece: float | None  # sum over bins of count / n * |mean q - mean outcome|
    bias: Estimate  # mean of q - outcome; above 0: values are too high
    dropped: int  # values without an outcome or with q = -inf


def reliability(
    q: ArrayLike,
    outcomes: ArrayLike,
    tasks: Sequence[str],
    bins: int = 10,
    least: int = 15,
    repetitions: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Calibration:
    """Reliability of ``q`` (C,) against ``outcomes`` (C,) (labels or returns), intervals clustered by ``tasks``.

    At most ``bins`` bins with about ``least`` values or more each; equal values share a bin. Outcomes in
    [0, 1] that are all 0 or all 1 in a bin get Wilson's limits. q = -inf and NaN outcomes are left out.
    ECE (Naeini et al. 2015) grows with noise: compare it at equal counts only. Raises ``EvaluationError`` for
    other values that are not finite and for shapes that do not fit.
    """
    if bins < 1 or least < 1:
        raise EvaluationError(f"bins={bins}, least={least}: expected at least 1 each.")
    values, known = values_of(q, len(tasks)), labels_of(outcomes, len(tasks), "outcomes")
    keep = np.flatnonzero(np.isfinite(values) & np.isfinite(known))
    order = keep[np.argsort(values[keep], kind="stable")]
    values, known = values[order], known[order]
    names = tasks_at(tasks, order)
    shares = bool(((known >= 0) & (known <= 1)).all())
    curve: list[Bin] = []
    error = 0.0
    cuts: list[int] = _cuts(values, min(bins, max(1, len(values) // least))).tolist()
    for start, end in pairwise(cuts):
        bootstrap = TaskBootstrap(names[start:end], None, repetitions, seed, confidence)
        inside = known[start:end]
        outcome = bootstrap.score(inside) if shares else bootstrap.mean(inside)
        mean = float(values[start:end].mean())
        curve.append(Bin(mean, float(values[start]), float(values[end - 1]), outcome))
        error += (end - start) * abs(mean - float(inside.mean()))
    bias = TaskBootstrap(names, None, repetitions, seed, confidence).difference(values, known)
    return Calibration(
        tuple(curve), error / len(values) if len(values) else None, bias, len(tasks) - len(keep)
    )


def _cuts(ordered: Floats, bins: int) -> Indices:
    """Where bins of about equal count start and end; a cut among equal values moves to their nearer end."""
    if not len(ordered):
        return np.zeros(1, dtype=np.int64)
    cuts = np.rint(np.linspace(0, len(ordered), bins + 1)).astype(np.int64)
    inner = cuts[1:-1]
    before = np.searchsorted(ordered, ordered[inner], side="left")
    after = np.searchsorted(ordered, ordered[inner], side="right")
    moved = np.where(inner - before <= after - inner, before, after)
    return np.unique(np.concatenate([[0], moved, [len(ordered)]])).astype(np.int64)
