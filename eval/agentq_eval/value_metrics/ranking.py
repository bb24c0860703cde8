"""Whether Q orders the candidates of a state as their labels do: Spearman's rho and Kendall's tau-b.

Only the order within a state matters for a choice; a correlation over all candidates of all states would
mostly say that some states are better than others.
"""

# scipy has no type stubs.
# pyright: reportMissingTypeStubs=false, reportUnknownVariableType=false, reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from agentq_eval.statistics import Estimate, TaskBootstrap
from agentq_eval.value_metrics.states import (
    Floats,
    Indices,
    candidate_counts,
    kept_counts,
    labels_of,
    tasks_at,
    values_of,
)

_CELLS = 4_000_000  # comparisons of pairs that are in memory at once


@dataclass(frozen=True, slots=True)
class Ranking:
    """Rank correlations, averaged over the states where they are defined."""

    spearman: Estimate  # n: states
    kendall: Estimate
    undefined: int  # states with fewer than two known candidates, or equal q or equal labels throughout
    dropped: int  # candidates without a label or with q = -inf


def ranking(
    q: ArrayLike,
    labels: ArrayLike,
    sizes: Sequence[int] | Indices,
    tasks: Sequence[str],
    repetitions: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Ranking:
    """Mean rank correlation of ``q`` (C,) with ``labels`` (C,) within states, tasks resampled.

    Candidates with a NaN label or q = -inf are left out. Raises ``EvaluationError`` for other values that are
    not finite and for shapes that do not fit.
    """
    counts = candidate_counts(sizes, tasks)
    values, known = values_of(q, int(counts.sum())), labels_of(labels, int(counts.sum()))
    keep = np.isfinite(values) & np.isfinite(known)
    rho, tau = (
        _of_states(function, values[keep], known[keep], kept_counts(keep, counts))
        for function in (spearman, kendall)
    )
    defined = np.isfinite(rho)
    bootstrap = TaskBootstrap(tasks_at(tasks, defined), None, repetitions, seed, confidence)
    return Ranking(
        bootstrap.mean(rho[defined]),
        bootstrap.mean(tau[defined]),
        undefined=int((~defined).sum()),
        dropped=int((~keep).sum()),
    )


def spearman(q: Floats, labels: Floats) -> Floats:
    """Rank correlation of each row, (S, N) and (S, N) to (S,); NaN where either side is constant."""
    from scipy.stats import rankdata

    ranks = [np.asarray(rankdata(side, axis=1), dtype=np.float64) for side in (q, labels)]
    ours, theirs = (side - side.mean(axis=1, keepdims=True) for side in ranks)
    return _ratio((ours * theirs).sum(axis=1), (ours**2).sum(axis=1), (theirs**2).sum(axis=1))


def kendall(q: Floats, labels: Floats) -> Floats:
    """Kendall's tau-b of each row, (S, N) and (S, N) to (S,); NaN where either side is constant."""
    rows = max(1, _CELLS // max(1, q.shape[1] ** 2))
    parts = [_kendall(q[i : i + rows], labels[i : i + rows]) for i in range(0, len(q), rows)]
    return np.concatenate(parts) if parts else np.zeros(0)


def _kendall(q: Floats, labels: Floats) -> Floats:
    # All pairs of all states at once: scipy's is one state per call, 0.3 ms each.
    ours, theirs = (np.sign(side[:, :, None] - side[:, None, :]) for side in (q, labels))
    agreed = (ours * theirs).sum(axis=(1, 2))
    return _ratio(agreed, np.abs(ours).sum(axis=(1, 2)), np.abs(theirs).sum(axis=(1, 2)))


def _ratio(above: Floats, ours: Floats, theirs: Floats) -> Floats:
    below = np.sqrt(ours * theirs)
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)


def _of_states(
    function: Callable[[Floats, Floats], Floats], q: Floats, labels: Floats, sizes: Indices
) -> Floats:
    found = np.full(len(sizes), np.nan)
    for states, places in _rows(sizes):
        found[states] = function(q[places], labels[places])
    return found


def _rows(sizes: Indices) -> Iterator[tuple[Indices, Indices]]:
    """States of equal size, with the places (S, N) of their candidates in the flat arrays."""
    starts = np.cumsum(sizes) - sizes
    for size in np.unique(sizes[sizes > 1]):
        states = np.flatnonzero(sizes == size)
        yield states, starts[states][:, None] + np.arange(size)
