"""Losses of K heads against one target per row: squared error, or cross entropy of a probability.

A classification head carries one logit per value: the value is its sigmoid. A head with two class logits
is the same thing (``two_class_logit``), with the same loss and gradients.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from agentq.errors import TrainingError
from agentq.objectives.checks import check_rank, check_shapes

Metric: TypeAlias = Literal["regression", "classification"]


def two_class_logit(logits: Tensor) -> Tensor:
    """(..., 2) class logits -> (...) logit of class 1; softmax(logits)[1] = sigmoid(result)."""
    if logits.shape[-1:] != (2,):
        raise TrainingError(f"class logits have shape {tuple(logits.shape)}, expected a last dimension of 2.")
    return logits[..., 1] - logits[..., 0]


def head_values(prediction: Tensor, metric: Metric) -> Tensor:
    """Raw outputs of any shape -> values: as they are (regression) or sigmoid (classification)."""
    return torch.sigmoid(prediction) if metric == "classification" else prediction


def head_losses(prediction: Tensor, target: Tensor, metric: Metric = "regression") -> Tensor:
    """Mean loss of each head, (K, B) outputs against (B,) or (K, B) targets -> (K,).

    regression: mean_B (x - y)^2. classification: mean_B -(y log s(x) + (1-y) log(1 - s(x))), y in [0, 1],
    s the sigmoid. No gradient flows into the targets. Raises ``TrainingError`` on any other shape.
    """
    check_rank(2, "(K heads, B rows)", prediction=prediction)
    heads, rows = prediction.shape
    target = target.detach().to(prediction.dtype)
    if target.ndim == 1:
        check_shapes((rows,), target=target)
        target = target.expand(heads, rows)
    check_shapes((heads, rows), target=target)
    if metric == "regression":
        return (prediction - target).square().mean(dim=1)
    if metric == "classification":
        return F.binary_cross_entropy_with_logits(prediction, target, reduction="none").mean(dim=1)
    raise TrainingError(f"metric {metric!r} is unknown; expected 'regression' or 'classification'.")
