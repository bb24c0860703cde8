"""Log-probabilities of N replies of one state, the prompt read once (``shared_prefix``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from agentq.backbones.backbone import Backbone
from agentq.errors import BackboneError
from agentq.objectives.dpo import token_logprobs
from agentq.scoring.shared_prefix import Method, score_features

_LOGITS = 1 << 24  # logits held at a time: 64 MiB in float32
#: Settings of models that change logits behind the output layer, which ``output_logits`` would miss.
_BEHIND = ("final_logit_softcapping", "logit_scale", "logits_scaling")


def reply_states(
    backbone: Backbone,
    prompt_ids: Sequence[Sequence[int]],
    reply_ids: Sequence[Sequence[Sequence[int]]],
    *,
    method: Method = "shared",
    max_batch_tokens: int = 8192,
) -> list[Tensor]:
    """Last hidden states that predict the replies' tokens: (N_s, T, D) per state, T the longest of all replies.

    Behind the end of a shorter reply they mean nothing. Raises as ``score_features``.
    """
    if not reply_ids:
        return []
    longest = max(len(reply) for replies in reply_ids for reply in replies)

    def before_each_token(hidden: Tensor, mask: Tensor) -> Tensor:
        found = hidden[:, :-1]  # column 0 is the prompt's last token, which predicts the first of the reply
        return F.pad(found, (0, 0, 0, longest - found.shape[1])).flatten(1)

    flat = score_features(
        backbone, prompt_ids, reply_ids, (-1,), before_each_token,
        method=method, max_batch_tokens=max_batch_tokens,
    )  # fmt: skip
    return [rows.unflatten(1, (longest, -1)) for rows in flat]


def output_logits(backbone: Backbone, hidden: Tensor) -> Tensor:
    """(..., D) -> (..., V). Raises ``BackboneError`` for a model that scales or caps its logits afterwards."""
    model: Any = backbone.model
    config = model.config
    present = [name for name in _BEHIND if getattr(config, name, None) not in (None, 1, 1.0)]
    if present:
        raise BackboneError(
            f"{backbone.config.name!r} changes its logits behind the output layer ({', '.join(present)}), which "
            "scoring replies does not reproduce. Use another language model."
        )
    return model.get_output_embeddings()(hidden)


def reply_tokens(reply_ids: Sequence[Sequence[int]], width: int, device: Any) -> tuple[Tensor, Tensor]:
    """Token ids (N, width), 0 behind the end, and the mask of real ones."""
    tokens = torch.zeros((len(reply_ids), width), dtype=torch.long)
    mask = torch.zeros((len(reply_ids), width), dtype=torch.bool)
    for row, reply in enumerate(reply_ids):
        tokens[row, : len(reply)] = torch.tensor(reply)
        mask[row, : len(reply)] = True
    return tokens.to(device), mask.to(device)


def reply_logprobs(
    backbone: Backbone,
    prompt_ids: Sequence[Sequence[int]],
    reply_ids: Sequence[Sequence[Sequence[int]]],
    *,
    method: Method = "shared",
    max_batch_tokens: int = 8192,
) -> list[Tensor]:
    """(N_s, T) per state: log pi of every token of every reply in nats, 0 behind its end, float32."""
    states = reply_states(backbone, prompt_ids, reply_ids, method=method, max_batch_tokens=max_batch_tokens)
    found: list[Tensor] = []
    for hidden, replies in zip(states, reply_ids, strict=True):
        tokens, mask = reply_tokens(replies, hidden.shape[1], hidden.device)
        rows = max(1, _LOGITS // (hidden.shape[1] * len(backbone.tokenizer)))
        parts = [
            token_logprobs(output_logits(backbone, part), ids)
            for part, ids in zip(hidden.split(rows), tokens.split(rows), strict=True)
        ]
        found.append(torch.cat(parts).masked_fill(~mask, 0.0))
    return found
