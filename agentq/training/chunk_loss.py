"""Decoupled Q-chunking on features: the chunk critic, which exists in training only, and its options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor, nn

from agentq.critics.heads import HeadStack, QHeads
from agentq.errors import ConfigError
from agentq.objectives.aggregation import Aggregation
from agentq.objectives.chunking import ChunkingSettings, ChunkTarget, Regression


@dataclass(frozen=True, slots=True)
class ChunkOptions:
    """Chunks of logged actions (``agentq.objectives.chunking``); the discount is the objective's."""

    h: int = 3  # logged actions of a chunk, 2 to 3 for episodes of 5 to 8 steps
    target: ChunkTarget = "chunk"  # n_step: no chunk critic; one_step: that with h = 1
    kappa_d: float = 0.5  # optimism of the action critic towards the chunk critic, 0.5 to 0.8
    kappa_b: float = 0.9  # optimism of V towards the action critic, 0.5 to 0.97
    distillation: Regression = "expectile"  # or quantile
    backup: Regression = "quantile"  # of V; or expectile
    aggregation: Aggregation = "mean"  # of the action critic's heads in V's target

    def __post_init__(self) -> None:
        for name, known in (
            ("target", get_args(ChunkTarget)),
            ("distillation", get_args(Regression)),
            ("backup", get_args(Regression)),
            ("aggregation", get_args(Aggregation)),
        ):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"chunk {name}={getattr(self, name)!r}: expected one of {', '.join(known)}."
                )
        for name in ("kappa_d", "kappa_b"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ConfigError(f"chunk {name}={getattr(self, name)}: expected a number between 0 and 1.")
        if self.h < 1:
            raise ConfigError(f"chunk h={self.h}: expected at least 1 action.")
        if self.target == "one_step" and self.h != 1:
            raise ConfigError(
                f"chunk target='one_step' looks one step ahead, but h={self.h}. Set h=1, or target='n_step'."
            )
        if self.target == "chunk" and self.h == 1:
            raise ConfigError(
                "chunk target='chunk' with h=1: chunks of one action are what the action critic values. Set h to "
                "2 or more, or target='one_step'."
            )

    def settings(self, gamma: float) -> ChunkingSettings:
        """What the objective takes."""
        return ChunkingSettings(
            self.target, gamma, self.kappa_d, self.kappa_b, self.distillation, self.backup, self.aggregation
        )


class ChunkCritic(nn.Module):
    """Q_h: as many heads of the same shape as ``heads``, on the features of h logged steps side by side."""

    def __init__(self, heads: QHeads, h: int) -> None:
        super().__init__()
        self.h, self.inputs = h, heads.inputs
        # A stream of its own: neither the Q heads' nor that of their V heads.
        self.stack = HeadStack(
            h * heads.inputs, heads.settings.heads, heads.settings, heads.settings.seed + 1
        )
        self.stack.mean.copy_(heads.q.mean.repeat(h))
        self.stack.std.copy_(heads.q.std.repeat(h))

    def forward(self, chunks: Tensor, horizons: Tensor) -> Tensor:
        """Logits: (B, h, D), of which the first ``horizons`` (B,) steps count -> (K, B)."""
        inside = torch.arange(self.h, device=chunks.device) < horizons[:, None]  # (B, h)
        # The mean, since it is 0 once standardised: what a chunk lacks must not dominate its norm.
        filler = self.stack.mean.reshape(self.h, self.inputs)
        return self.stack(torch.where(inside[..., None], chunks.float(), filler).flatten(1))
