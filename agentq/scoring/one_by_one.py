"""The slow reference of ``shared_prefix``: every (prompt, candidate) is a sequence of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from agentq.backbones.backbone import Backbone
from agentq.scoring.packing import pack
from agentq.scoring.shared_prefix import (
    Pooling,
    check_lengths,
    hidden_layers,
    layer_numbers,
    pooling_function,
)
from agentq.scoring.support import decoder_of


def score_features(
    backbone: Backbone,
    prompt_ids: Sequence[Sequence[int]],
    candidate_ids: Sequence[Sequence[Sequence[int]]],
    layers: Sequence[int],
    pooling: str | Pooling,
) -> list[Tensor]:
    """As ``shared_prefix.score_features``, for any causal model, N (L + a) tokens a state."""
    wanted, function = layer_numbers(backbone, layers), pooling_function(pooling)
    for index, candidates in enumerate(candidate_ids):
        pack(candidates, index)  # for its errors
    check_lengths(backbone, prompt_ids, candidate_ids)
    return [
        torch.cat([_features(backbone, prompt, candidate, wanted, function) for candidate in candidates])
        for prompt, candidates in zip(prompt_ids, candidate_ids, strict=True)
    ]


def _features(
    backbone: Backbone,
    prompt: Sequence[int],
    candidate: Sequence[int],
    layers: Sequence[int],
    pooling: Pooling,
) -> Tensor:
    """(1, D * len(layers))."""
    ids = torch.tensor([[*prompt, *candidate]], device=backbone.device)
    hidden = hidden_layers(decoder_of(backbone.model), layers, input_ids=ids, use_cache=False)
    hidden = hidden[:, len(prompt) - 1 :]  # (1, 1 + T, len(layers), D)
    mask = torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device)
    mask[:, 0] = False
    return torch.cat([pooling(hidden[:, :, i], mask) for i in range(hidden.shape[2])], dim=-1)
