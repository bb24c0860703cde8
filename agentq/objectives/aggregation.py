"""One value out of K independent heads.

min: "Addressing Function Approximation Error in Actor-Critic Methods" (arXiv 1802.09477), equation 10; mean
minus c standard deviations: the lower confidence bound of ensembles; soft_low: weights of Symphony-S2, a
smooth alternative to the minimum for six heads or more:

    w_i ~ exp(-(|1 - phi/2 - i/K| phi)^(2e)),  i = 0..K-1 over ascending values,  phi = (1 + sqrt 5) / 2

flat over roughly the lower 60 % and near 0 at the top.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from agentq.errors import TrainingError
from agentq.objectives.checks import check_shapes

Aggregation: TypeAlias = Literal["min", "mean", "mean_std", "soft_low"]
_PHI = (1 + math.sqrt(5)) / 2


def soft_low_weights(heads: int) -> Tensor:
    """Weights of the ascending values, (K,) float64, summing to 1."""
    if heads < 1:
        raise TrainingError(f"there are {heads} heads, expected at least 1.")
    position = torch.arange(heads, dtype=torch.float64) / heads
    weight = torch.exp(-(((1 - _PHI / 2 - position).abs() * _PHI) ** (2 * math.e)))
    return weight / weight.sum()


def aggregate(values: Tensor, how: Aggregation = "min", *, pessimism: float = 1.0) -> Tensor:
    """(K, ...) -> (...). ``pessimism`` is c, the number of standard deviations taken off by "mean_std".

    An entry that is -inf in any head is -inf in the result. The standard deviation is that of the K values
    themselves (not an estimate of a population's), so one head gives its own value under every rule.
    """
    if how == "min":
        return values.amin(dim=0)
    if how == "mean":
        return values.mean(dim=0)
    if how == "soft_low":
        weight = soft_low_weights(values.shape[0]).to(values)
        ascending = values.sort(dim=0).values
        # torch's annotation of tensordot is incomplete
        return torch.tensordot(weight, ascending, dims=1)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if how == "mean_std":
        lowest = values.amin(dim=0)
        excluded = torch.isneginf(lowest)  # -inf minus a standard deviation would be NaN
        finite = values.masked_fill(excluded, 0.0)
        bound = finite.mean(dim=0) - pessimism * _deviation(finite)
        return bound.masked_fill(excluded, -math.inf)
    raise TrainingError(
        f"aggregation {how!r} is unknown; expected one of {', '.join(get_args(Aggregation))}."
    )


def _deviation(values: Tensor) -> Tensor:
    """Standard deviation over heads; its gradient is 0, not NaN, where all heads agree."""
    variance = values.var(dim=0, correction=0)
    positive = variance > 0
    return torch.where(positive, torch.where(positive, variance, 1.0).sqrt(), 0.0)


def agreement(values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean standard deviation over heads of (K, ...) values, a scalar: 0 means that the heads agree.

    ``mask`` (...) leaves out entries that are not candidates.
    """
    spread = values.std(dim=0, correction=0)
    if mask is None:
        return spread.mean()
    check_shapes(tuple(spread.shape), mask=mask)
    return spread[mask.to(torch.bool)].mean()
