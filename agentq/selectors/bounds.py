"""Lower bounds over the K heads of a critic, for selectors that are more careful than its own aggregation.

The rules and their sources are those of ``agentq.objectives.aggregation``, on arrays: choosing needs no torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np

from agentq.critics.base import Scores
from agentq.errors import SelectorError
from agentq.selectors.drawing import checked_values
from agentq.types import Candidate, FloatArray

#: none: the critic's own aggregated values.
Bound: TypeAlias = Literal["none", "min", "mean", "mean_std", "soft_low"]
_PHI = (1 + math.sqrt(5)) / 2


def bounded_values(
    scores: Scores, candidates: Sequence[Candidate], bound: Bound, pessimism: float, selector: str
) -> FloatArray:
    """(N,) values by ``bound``, -inf for what must not be chosen.

    ``pessimism`` is c, the standard deviations that mean_std takes off. Raises ``SelectorError`` where no
    candidate is usable, and where the bound needs per-head values that the critic does not give.
    """
    values = checked_values(scores, candidates, selector)
    if bound == "none":
        return values
    usable = np.isfinite(values)
    heads = head_values(scores, usable, selector)
    bounded = np.full(len(values), -np.inf)
    bounded[usable] = aggregated(heads, bound, pessimism)
    return bounded


def head_values(scores: Scores, usable: np.ndarray, selector: str) -> FloatArray:
    """(K, usable candidates) finite values per head. Raises ``SelectorError`` where there are none."""
    if scores.head_q is None:
        raise SelectorError(
            f"{selector}: the critic gives no values per head, which this choice needs; use a critic with "
            "heads (agentq.critics.q_head), or the option bound='none'."
        )
    heads = np.asarray(scores.head_q, dtype=np.float64)
    if heads.ndim != 2 or heads.shape[0] < 1 or heads.shape[1] != len(usable):
        raise SelectorError(
            f"{selector}: values per head have shape {heads.shape}, expected (K, {len(usable)}) with K >= 1; "
            "check the critic."
        )
    found = heads[:, usable]
    if not np.isfinite(found).all():
        column = int(np.flatnonzero(usable)[np.flatnonzero(~np.isfinite(found).all(axis=0))[0]])
        raise SelectorError(
            f"{selector}: candidate {column} has head values {heads[:, column].tolist()}, expected numbers "
            "since its value is one; check the critic."
        )
    return found


def aggregated(heads: FloatArray, bound: Bound, pessimism: float) -> FloatArray:
    """(K, n) finite values -> (n,)."""
    if bound == "min":
        return heads.min(axis=0)
    if bound == "mean":
        return heads.mean(axis=0)
    if bound == "mean_std":
        return heads.mean(axis=0) - pessimism * heads.std(axis=0)
    position = np.arange(len(heads)) / len(heads)
    weight = np.exp(-((np.abs(1 - _PHI / 2 - position) * _PHI) ** (2 * math.e)))
    return weight / weight.sum() @ np.sort(heads, axis=0)


def check_bound(bound: str, pessimism: float) -> None:
    """Raise ``SelectorError`` unless the rule exists and c is a number >= 0."""
    check_choice("bound", bound, get_args(Bound))
    check_number("pessimism", pessimism, least=0.0)


def check_choice(option: str, value: str, known: Sequence[str]) -> None:
    """Raise ``SelectorError`` unless an option has one of the ``known`` values."""
    if value not in known:
        raise SelectorError(f"{option} is {value!r}, expected one of {', '.join(map(repr, known))}.")


def check_number(option: str, value: float, least: float = -math.inf, most: float = math.inf) -> None:
    """Raise ``SelectorError`` unless an option is finite and within [least, most]."""
    if not (math.isfinite(value) and least <= value <= most):
        limits = f" from {least:g} to {most:g}" if math.isfinite(most) else f" of at least {least:g}"
        raise SelectorError(
            f"{option} is {value}, expected a number{limits if math.isfinite(least) else ''}."
        )
