"""How good a critic is on held-out tasks: variance explained, and order within a state."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.floating[Any]]


def explained_variance(predicted: Numbers, target: Numbers) -> float:
    """1 - Var(target - predicted) / Var(target); (T,), (T,). 0 when the target does not vary."""
    spread = float(np.var(target))
    return 0.0 if spread == 0 else 1.0 - float(np.var(target - predicted)) / spread


def rank_correlation(q: Numbers, labels: Numbers) -> float:
    """Kendall's tau within states: share of concordant minus discordant pairs with different labels.

    (M, N), (M, N); NaN labels do not count; each state weighs the same. 0 when no state has a contrast.
    """
    with np.errstate(invalid="ignore"):
        order = np.sign(labels[:, :, None] - labels[:, None, :])  # (M, N, N)
        agreement = np.sign(q[:, :, None] - q[:, None, :]) * order
    pairs = np.nansum(np.abs(order), axis=(1, 2))
    tau = np.nansum(agreement, axis=(1, 2))[pairs > 0] / pairs[pairs > 0]
    return float(tau.mean()) if len(tau) else 0.0


def gap_closed(q: Numbers, labels: Numbers) -> float:
    """Share of the gap between a random and the best labelled candidate that arg-max q closes; (M, N).

    1: always the best; 0: as good as random; negative: worse. 0 when no state has a contrast.
    """
    known = ~np.isnan(labels)
    usable = known.any(axis=1)
    if not usable.any():
        return 0.0
    labels, q = labels[usable], np.where(known, q, -np.inf)[usable]
    chosen = labels[np.arange(len(labels)), q.argmax(axis=1)]
    mean, best = np.nanmean(labels, axis=1), np.nanmax(labels, axis=1)
    gap = float((best - mean).sum())
    return float((chosen - mean).sum()) / gap if gap > 0 else 0.0
