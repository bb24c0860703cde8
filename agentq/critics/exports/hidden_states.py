"""The language model itself: the server returns the last hidden state, the heads are computed by the client."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agentq.critics.q_head import QCritic
from agentq.critics.readouts import HiddenStateReadout, Readout, Task
from agentq.errors import ConfigError
from agentq.scoring.support import decoder_of

HELP = "the backbone for a server that returns hidden states, the heads for the client; heads of any shape"
TASK: Task = "embed"
SERVE: tuple[str, ...] = ("--convert", "embed")


def problems(critic: QCritic) -> list[str]:
    """Nothing: heads of any shape are computed by the client."""
    del critic
    return []


def write(critic: QCritic, model: Any, folder: Path, *, join_heads: bool) -> Readout:
    """Write ``model``, whose adapters are merged, without a tokenizer. Raises ``ConfigError`` for ``join_heads``."""
    if join_heads:
        raise ConfigError(
            "join_heads makes one label of several, but hidden-states has no labels. Leave it out: the heads "
            "are joined by the client."
        )
    model.save_pretrained(str(folder))
    return HiddenStateReadout(copy.deepcopy(critic.heads).cpu(), critic.backbone.hidden_size)


def read(folder: Path, dtype: torch.dtype, rows: list[list[int]]) -> Tensor:
    """(n, D) hidden states of the last tokens, by transformers from the written files."""
    from transformers import AutoModelForCausalLM

    decoder = decoder_of(AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval())
    with torch.no_grad():
        states = [decoder(input_ids=torch.tensor([ids])).last_hidden_state[:, -1] for ids in rows]
    return torch.cat(states).float()
