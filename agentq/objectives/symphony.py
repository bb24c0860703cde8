"""Symphony: replay that fades with age, and temporal-difference losses of bounded gradient.

Formulas of the Symphony and Symphony-S2 repositories. With i = 0 the oldest of n items and phi the golden
ratio, an item is replayed with probability proportional to

    tanh(c (i/n)^2)  |  tanh((pi i/n)^e)  |  exp(-(|i/n - phi/2| phi)^(2e))

Useful over rounds of collection (the age is the round); a fixed log should be replayed uniformly.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from agentq.errors import TrainingError
from agentq.objectives.checks import check_shapes

_PHI = (1 + math.sqrt(5)) / 2


def fade_tanh_square(items: int, factor: float = 7.0) -> Tensor:
    """tanh(c (i/n)^2), normalised, (n,) float64, oldest first; the oldest has probability 0."""
    return _normalised(torch.tanh(factor * _age(items) ** 2))


def fade_tanh_pi(items: int) -> Tensor:
    """tanh((pi i/n)^e), not normalised, (n,) float64, oldest first."""
    return torch.tanh((math.pi * _age(items)) ** math.e)


def fade_golden(items: int) -> Tensor:
    """exp(-(|i/n - phi/2| phi)^(2e)), normalised, (n,) float64: flat over the newest 60 %."""
    return _normalised(torch.exp(-(((_age(items) - _PHI / 2).abs() * _PHI) ** (2 * math.e))))


def symmetric_loss(error: Tensor) -> Tensor:
    """mean of e tanh(e/2): square near 0, absolute value far away; a scalar."""
    return (error * torch.tanh(error / 2)).mean()


def asymmetric_loss(error: Tensor) -> Tensor:
    """mean of |e| tanh(e/2), a scalar; errors of opposite sign cancel."""
    return (error.abs() * torch.tanh(error / 2)).mean()


def temporal_advantage(next_q: Tensor, average: Tensor) -> Tensor:
    """Asymmetric loss of (q_next - average) / |average|: (B,), scalar average over past batches -> scalar.

    Raises ``TrainingError`` when the average is 0.
    """
    check_shapes((), average=average)
    if float(average) == 0:
        raise TrainingError(
            "the running average of q is 0, expected another number; start it at a batch mean."
        )
    return asymmetric_loss((next_q - average) / average.abs())


def _age(items: int) -> Tensor:
    if items < 2:
        raise TrainingError(f"replay of {items} items cannot fade, expected at least 2.")
    return torch.arange(items, dtype=torch.float64) / items


def _normalised(weights: Tensor) -> Tensor:
    return weights / weights.sum()
