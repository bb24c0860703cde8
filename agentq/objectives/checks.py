"""Refusals shared by the objectives: tensors of wrong shape, numbers that are not finite."""

from __future__ import annotations

import torch
from torch import Tensor

from agentq.errors import TrainingError


def check_finite(name: str, tensor: Tensor) -> None:
    """Raise ``TrainingError`` naming the tensor, its count of NaN and infinite entries, and the first."""
    finite = torch.isfinite(tensor)
    if bool(finite.all()):
        return
    bad = (~finite).nonzero()
    first = tuple(int(i) for i in bad[0])
    raise TrainingError(
        f"{name} of shape {tuple(tensor.shape)} has {len(bad)} entries that are not finite, the first is "
        f"{float(tensor[first])} at {list(first)}; expected numbers. Check the inputs of this batch, or "
        "lower the learning rate if they are finite."
    )


def check_shapes(expected: tuple[int, ...], **tensors: Tensor) -> None:
    """Raise ``TrainingError`` for the first tensor whose shape is not exactly ``expected``.

    Nothing is broadcast: (B, 1) against (B,) would silently become (B, B) and regress every row on the
    mean of the batch.
    """
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != expected:
            raise TrainingError(
                f"{name} has shape {tuple(tensor.shape)}, expected {expected}; nothing is broadcast, so "
                "reshape it (squeeze a trailing dimension of 1) before calling the objective."
            )


def check_rank(rank: int, layout: str, **tensors: Tensor) -> None:
    """Raise ``TrainingError`` for the first tensor without ``rank`` dimensions; ``layout`` describes them."""
    for name, tensor in tensors.items():
        if tensor.ndim != rank:
            raise TrainingError(
                f"{name} has shape {tuple(tensor.shape)}, expected {layout}; stack the heads along the first "
                "dimension and drop trailing dimensions of 1."
            )
