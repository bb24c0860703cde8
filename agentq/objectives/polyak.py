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
    """Move the target's parameters towards the online ones in place; buffers are copied.

    Raises ``TrainingError`` unless 0 <= tau <= 1 and both networks have the same parameters.
    """
    if not 0.0 <= tau <= 1.0:
        raise TrainingError(f"tau is {tau}, expected a number in [0, 1] (0.005 to 0.1 is usual).")
    slow: list[Tensor] = list(target.parameters())
    fast: list[Tensor] = list(online.parameters())
    shapes = [p.shape for p in slow], [p.shape for p in fast]
    if shapes[0] != shapes[1]:
        raise TrainingError(
            f"the target has {len(slow)} parameters and the online network {len(fast)}, or their shapes "
            "differ; make the target with target_copy(online)."
        )
    if slow:
        # One call over all tensors; the loop of lerp_ over parameters is the slow equivalent.
        torch._foreach_lerp_(slow, fast, tau)  # pyright: ignore[reportPrivateImportUsage]
    for mine, theirs in zip(target.buffers(), online.buffers(), strict=True):
        mine.copy_(theirs)
