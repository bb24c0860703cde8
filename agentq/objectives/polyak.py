"""Slow target copies of a network.

Polyak averaging as in "Continuous control with deep reinforcement learning" (arXiv 1509.02971), section 3:
theta' <- (1 - tau) theta' + tau theta.
"""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from agentq.errors import TrainingError

_Module = TypeVar("_Module", bound=nn.Module)


def target_copy(online: _Module) -> _Module:
    """A copy with the same parameters, frozen and in evaluation mode.

    Starting from the online network matters: an unrelated random target is what the first thousands of steps
    would otherwise regress on.
    """
    target = copy.deepcopy(online)
    target.requires_grad_(False)
    return target.eval()


@torch.no_grad()
def polyak_update(target: nn.Module, online: nn.Module, tau: float) -> None:
    """Move the target's parameters towards the online ones of the same names; buffers are copied.

    The target may have some of the online parameters only, e.g. just the V heads. Raises ``TrainingError``
    unless 0 <= tau <= 1 and every parameter of the target has a namesake of the same shape.
    """
    if not 0.0 <= tau <= 1.0:
        raise TrainingError(f"tau is {tau}, expected a number in [0, 1] (0.005 to 0.1 is usual).")
    slow: list[Tensor] = []
    fast: list[Tensor] = []
    known = dict(online.named_parameters())
    for name, parameter in target.named_parameters():
        if name not in known or known[name].shape != parameter.shape:
            raise TrainingError(
                f"the target's parameter {name!r} of shape {tuple(parameter.shape)} is not one of the online "
                "network; make the target with target_copy(online)."
            )
        slow.append(parameter)
        fast.append(known[name])
    if slow:
        # One call over all tensors; the loop of lerp_ over parameters is the slow equivalent.
        torch._foreach_lerp_(slow, fast, tau)  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]
    buffers = dict(online.named_buffers())
    for name, buffer in target.named_buffers():
        buffer.copy_(buffers[name])
