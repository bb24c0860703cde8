"""What choices lose against the best candidate that was proposed (selective regret)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from agentq.errors import EvaluationError
from agentq_eval.statistics import Estimate, TaskBootstrap
from agentq_eval.value_metrics.states import (
    Floats,
    Indices,
    candidate_counts,
    kept_counts,
    labels_of,
    tasks_at,
)


@dataclass(frozen=True, slots=True)
class Regret:
    """Best label minus the label of the choice, averaged over states; n: states."""

    chosen: Estimate
    random: Estimate  # of a choice by chance among the labelled candidates
    reference: Estimate | None  # of the choices to compare with
    saved: Estimate  # regret of the reference (else of chance) minus that of the choice, paired
    left_out: int  # states with fewer than two labels, or whose chosen or reference candidate has none


def selective_regret(
    labels: ArrayLike,
    sizes: Sequence[int] | Indices,
    chosen: Sequence[int] | Indices,
    tasks: Sequence[str],
    reference: Sequence[int] | Indices | None = None,
    repetitions: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Regret:
    """Regret of ``chosen`` (S,), an index into each state's candidates, and of ``reference``, tasks resampled.

    ``labels`` (C,), NaN: unknown. Where some are unknown the best known one counts, so that regret is rather
    too small. Raises ``EvaluationError`` for an index that is no candidate and for shapes that do not fit.
    """
    counts = candidate_counts(sizes, tasks)
    known = labels_of(labels, int(counts.sum()))
    several = kept_counts(np.isfinite(known), counts) > 1
    ours = _labels_at(known, counts, chosen, "chosen")
    theirs = None if reference is None else _labels_at(known, counts, reference, "reference")
    usable = several & np.isfinite(ours) & (True if theirs is None else np.isfinite(theirs))
    best, average = _best_and_mean(known, counts)
    bootstrap = TaskBootstrap(tasks_at(tasks, usable), None, repetitions, seed, confidence)
    lost, by_chance = (best - ours)[usable], (best - average)[usable]
    other = None if theirs is None else (best - theirs)[usable]
    return Regret(
        bootstrap.mean(lost),
        bootstrap.mean(by_chance),
        None if other is None else bootstrap.mean(other),
        bootstrap.difference(by_chance if other is None else other, lost),
        left_out=int((~usable).sum()),
    )


def _labels_at(labels: Floats, sizes: Indices, index: Sequence[int] | Indices, name: str) -> Floats:
    """The label of one candidate per state, (S,)."""
    places = np.asarray(index, dtype=np.int64)
    if places.shape != sizes.shape:
        raise EvaluationError(f"{name} has shape {places.shape}, expected {sizes.shape}: one per state.")
    wrong = (places < 0) | (places >= sizes)
    if wrong.any():
        state = int(np.flatnonzero(wrong)[0])
        raise EvaluationError(
            f"{name}[{state}] is {places[state]}, expected the index of one of its {sizes[state]} candidates."
        )
    return labels[np.cumsum(sizes) - sizes + places]


def _best_and_mean(labels: Floats, sizes: Indices) -> tuple[Floats, Floats]:
    """Highest and mean known label of each state, (S,) each; without any: -inf and NaN."""
    if not len(sizes):
        return np.zeros(0), np.zeros(0)
    known = np.isfinite(labels)
    starts = np.cumsum(sizes) - sizes
    best = np.maximum.reduceat(np.where(known, labels, -np.inf), starts)
    sums = np.add.reduceat(np.where(known, labels, 0.0), starts)
    counts = kept_counts(known, sizes)
    return best, np.divide(sums, counts, out=np.full(len(sizes), np.nan), where=counts > 0)
