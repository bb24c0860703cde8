"""The token sequence of a step with three separate masks, never inferred from pad ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agentq.errors import LogError
from agentq.types import Messages, Step

BoolArray = NDArray[np.bool_]


class Tokenizes(Protocol):
    """What masks need of a backbone: token ids of states and of actions."""

    def prompt_ids(self, messages: Messages) -> list[int]:
        """Token ids of the state."""
        ...

    def action_ids(self, text: str) -> list[int]:
        """Token ids of an action, end-of-turn token included."""
        ...


@dataclass(frozen=True, slots=True)
class TokenMasks:
    """Token ids and masks of one step, (L,), or of a padded batch, (B, L).

    Every attended token is either environment text (the prompt) or carries loss (the action), never both;
    padding is neither. Raises ``LogError`` when shapes or masks disagree.
    """

    token_ids: NDArray[np.int64]
    attention: BoolArray  # real tokens
    loss: BoolArray  # tokens the policy sampled
    environment: BoolArray  # tokens the environment (or the template) wrote

    def __post_init__(self) -> None:
        arrays = {"attention": self.attention, "loss": self.loss, "environment": self.environment}
        for name, mask in arrays.items():
            if mask.shape != self.token_ids.shape or mask.dtype != np.bool_:
                raise LogError(
                    f"{name} mask is {mask.dtype} {mask.shape}, expected bool {self.token_ids.shape} "
                    "like the token ids."
                )
        if np.any(self.loss & self.environment) or np.any((self.loss | self.environment) != self.attention):
            raise LogError(
                "masks disagree: each attended token must be environment text or action, not both."
            )


def masks(step: Step, backbone: Tokenizes, candidate: int | None = None) -> TokenMasks:
    """Prompt plus chosen (or given) candidate as one sequence, (L,).

    The action's tokens are the sampled ids of the log; only a candidate without them is tokenised from its
    text. Raises ``LogError`` for an index outside the candidates.
    """
    candidates = step.decision.candidates
    index = step.decision.index if candidate is None else candidate
    if not 0 <= index < len(candidates):
        raise LogError(f"candidate {index} does not exist: the step has {len(candidates)}.")
    chosen = candidates[index]
    prompt = backbone.prompt_ids(step.messages)
    action = list(chosen.token_ids) or backbone.action_ids(chosen.text)
    ids = np.asarray([*prompt, *action], dtype=np.int64)
    loss = np.arange(len(ids)) >= len(prompt)
    return TokenMasks(ids, np.ones(len(ids), dtype=np.bool_), loss, ~loss)


def pad_masks(rows: Sequence[TokenMasks], pad_id: int) -> TokenMasks:
    """Rows of shape (L_i,) as one right-padded batch (B, max L_i). Raises ``LogError`` for no rows."""
    if not rows:
        raise LogError("no rows to pad. Give at least one TokenMasks.")
    width = max(len(row.token_ids) for row in rows)
    ids = np.full((len(rows), width), pad_id, dtype=np.int64)
    flags = np.zeros((3, len(rows), width), dtype=np.bool_)
    for i, row in enumerate(rows):
        length = len(row.token_ids)
        ids[i, :length] = row.token_ids
        flags[:, i, :length] = row.attention, row.loss, row.environment
    return TokenMasks(ids, flags[0], flags[1], flags[2])
