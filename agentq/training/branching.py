"""Next-token training on several continuations of one prompt, the prompt computed once.

A state has several candidate actions, and each is followed by answers that the log gives about it.
Written as separate sequences the prompt would be computed once a candidate; here the candidates are
branches behind one prompt: a branch sees the prompt and itself, never its neighbours, and its positions
go on from the end of the prompt. The result equals the separate sequences (tested) at a fraction of the
cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from agentq.errors import TrainingError


@dataclass(frozen=True, slots=True)
class Branch:
    """One continuation; token i is predicted with ``weights[i]`` in the loss (0: read, not predicted)."""

    ids: tuple[int, ...]
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.weights):  # or weights would move on to the next branch
            raise TrainingError(f"{len(self.weights)} weights for {len(self.ids)} tokens of a branch.")


@dataclass(frozen=True, slots=True)
class BranchingExample:
    """A prompt and the continuations that are trained behind it."""

    prompt: tuple[int, ...]
    branches: tuple[Branch, ...]

    @property
    def length(self) -> int:
        """Tokens of the packed row."""
        return len(self.prompt) + sum(len(branch.ids) for branch in self.branches)


@dataclass(frozen=True, slots=True)
class BranchingBatch:
    """A padded batch: B rows of T tokens, P predicted tokens in all."""

    input_ids: Tensor  # (B, T)
    position_ids: Tensor  # (B, T) restart behind the prompt for every branch
    segment: Tensor  # (B, T) 0: prompt, 1..: branches, -1: padding
    source: Tensor  # (P,) flat index into B*T of the token that predicts
    target: Tensor  # (P,) token id to be predicted
    weight: Tensor  # (P,)

    @property
    def mask(self) -> Tensor:
        """(B, 1, T, T) bool, True: row may look at column. Made where the batch is: T times its other tensors."""
        return _visible(self.segment)

    def to(self, device: torch.device) -> BranchingBatch:
        """The same batch on another device."""
        return BranchingBatch(*(getattr(self, name).to(device) for name in self.__slots__))


def collate(examples: Sequence[BranchingExample], pad_id: int) -> BranchingBatch:
    """Pack examples into one padded batch."""
    width = max(example.length for example in examples)
    shape = (len(examples), width)
    input_ids, segment = np.full(shape, pad_id), np.full(shape, -1)
    position_ids, weights = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
    before = np.zeros(shape, np.int64)  # flat index of the token that a token is predicted from
    for row, example in enumerate(examples):
        start, length = len(example.prompt), example.length
        lengths = [len(branch.ids) for branch in example.branches]
        first = start + np.cumsum([0, *lengths])[:-1]  # where each branch begins
        pieces = (example.prompt, *(branch.ids for branch in example.branches))
        input_ids[row, :length] = np.fromiter(chain.from_iterable(pieces), np.int64, length)
        weights[row, start:length] = np.fromiter(
            chain.from_iterable(branch.weights for branch in example.branches), np.float32, length - start
        )
        segment[row, :length] = np.repeat(np.arange(len(lengths) + 1), [start, *lengths])
        position_ids[row, :length] = np.arange(length)
        position_ids[row, start:length] -= np.repeat(first - start, lengths)
        before[row] = row * width - 1 + np.arange(width)
        before[row, first[np.array(lengths) > 0]] = row * width + start - 1  # a branch follows the prompt
    predicted = weights != 0
    return BranchingBatch(
        torch.from_numpy(input_ids),
        torch.from_numpy(position_ids),
        torch.from_numpy(segment),
        torch.from_numpy(before[predicted]),
        torch.from_numpy(input_ids[predicted]),
        torch.from_numpy(weights[predicted]),
    )


def _visible(segment: Tensor) -> Tensor:
    """(B, 1, T, T): earlier tokens of the prompt or of the same branch; padding sees itself only."""
    width = segment.shape[1]
    causal = torch.ones((width, width), dtype=torch.bool, device=segment.device).tril()
    of_row, of_column = segment[:, :, None], segment[:, None, :]
    same = (of_row == of_column) | (of_column == 0)
    own = torch.eye(width, dtype=torch.bool, device=segment.device)
    return ((same & causal & (of_column >= 0) & (of_row >= 0)) | own)[:, None]


def hidden_states(model: Any, batch: BranchingBatch) -> Tensor:
    """(B, T, D) last hidden states of the packed batch (after the final norm)."""
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else model.model
    output = decoder(
        input_ids=batch.input_ids,
        position_ids=batch.position_ids,
        attention_mask=additive(batch.mask, next(model.parameters()).dtype),
        use_cache=False,
    )
    return output.last_hidden_state


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """A boolean mask as the additive one that transformers hands to its attention."""
    zeros = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    return zeros.masked_fill(~mask, torch.finfo(dtype).min)


def branching_loss(model: Any, batch: BranchingBatch) -> tuple[Tensor, Tensor]:
    """Weighted mean cross entropy in nats, and the per-token losses (P,) without weights.

    Only predicted positions pass through the output layer.
    """
    hidden = hidden_states(model, batch)
    chosen = hidden.reshape(-1, hidden.shape[-1])[batch.source]  # (P, D)
    logits = model.get_output_embeddings()(chosen).float()  # (P, V)
    losses = functional.cross_entropy(logits, batch.target, reduction="none")
    return (losses * batch.weight).sum() / batch.weight.sum(), losses.detach()


def token_budget_batches(lengths: Sequence[int], budget: int, seed: int, window: int = 64) -> list[list[int]]:
    """Indices in batches of at most ``budget`` padded tokens, shuffled, neighbours of similar length.

    Lengths are sorted within windows of ``window`` batches, so that little padding is computed while
    the order of the data stays random. Every index occurs exactly once.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(lengths), generator=generator).tolist()
    mean = max(1, sum(lengths) // max(1, len(lengths)))
    span = max(1, budget // mean) * window
    batches: list[list[int]] = []
    for start in range(0, len(order), span):
        batches.extend(_cut(sorted(order[start : start + span], key=lambda i: lengths[i]), lengths, budget))
    shuffled = torch.randperm(len(batches), generator=generator).tolist()
    return [batches[i] for i in shuffled]


def _cut(indices: list[int], lengths: Sequence[int], budget: int) -> list[list[int]]:
    batches: list[list[int]] = []
    current: list[int] = []
    for index in indices:  # ascending lengths: the newest is the widest
        if current and (len(current) + 1) * lengths[index] > budget:
            batches.append(current)
            current = []
        current.append(index)
    if current:
        batches.append(current)
    return batches
