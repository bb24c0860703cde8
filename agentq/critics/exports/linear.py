"""Linear heads as one matrix on the hidden state: standardisation folded in.

A head without hidden layers is w . (x - m) / s + b = (w / s) . x + b - w . (m / s). The bias stays apart:
classification heads of language models have none.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agentq.critics.heads import QHeads
from agentq.critics.q_head import QCritic
from agentq.features.proposal import proposal_width


@dataclass(frozen=True, slots=True)
class LinearHeads:
    """K heads: raw output = ``weight`` h + ``proposal_weight`` p + ``offset``, in float32."""

    weight: Tensor  # (K, D)
    proposal_weight: Tensor  # (K, P)
    offset: Tensor  # (K,)

    def mean(self) -> LinearHeads:
        """One head with the mean of all."""
        return LinearHeads(
            self.weight.mean(dim=0, keepdim=True),
            self.proposal_weight.mean(dim=0, keepdim=True),
            self.offset.mean(dim=0, keepdim=True),
        )


def linear_problems(critic: QCritic) -> list[str]:
    """Why the heads are no matrix; empty when they are."""
    settings = critic.heads.settings
    found: list[str] = []
    if settings.hidden:
        found.append(
            f"the heads have hidden layers {settings.hidden}, and a classification checkpoint holds one matrix"
        )
    if settings.input_norm:
        found.append(
            "the heads normalise each feature vector by its own spread (input_norm), which no matrix does"
        )
    return found


def fold_heads(heads: QHeads, proposal: str) -> LinearHeads:
    """Heads for which ``linear_problems`` is empty, computed in float64; ``proposal`` columns stand last."""
    width = proposal_width(proposal)  # pyright: ignore[reportArgumentType]  # checked there
    stack = heads.q
    weight = stack.weights[0].detach().double()[..., 0]  # (K, D + P)
    mean, std = stack.mean.double(), stack.std.double()
    folded = weight / std
    offset = stack.biases[0].detach().double()[:, 0, 0] - folded @ mean
    hidden = folded.shape[1] - width
    parts = (folded[:, :hidden], folded[:, hidden:], offset)
    return LinearHeads(*(part.to("cpu", torch.float32).contiguous() for part in parts))
