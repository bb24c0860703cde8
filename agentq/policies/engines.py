"""Next-token logits for the nodes of token trees that grow behind prompts.

``SharedPrefixEngine`` computes every prompt once and every node's new tokens once: the tokens of all
nodes of a state stand side by side in one row behind the prompt, and a mask lets each see the prompt and
its own ancestors only. ``RecomputeEngine`` reads every node's whole sequence again: the slow reference,
and the way for models that cannot share a prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import transformers.modeling_utils
from torch import Tensor

from agentq.policies.constrained import State
from agentq.scoring.key_values import KeyValueBuffers, PromptKeyValues, additive
from agentq.scoring.support import decoder_of

# Since transformers 5.2x the output layer can be applied to chosen positions of ragged rows.
_KEEPS_BY_MASK = hasattr(transformers.modeling_utils, "slice_logits_to_keep")


@dataclass(slots=True)
class Node:
    """A point where a token is drawn: the candidates in ``members`` share everything before it."""

    row: int  # the prompt
    state: State
    path: tuple[int, ...]  # tokens behind the prompt
    logprobs: tuple[float, ...]  # one per token of path
    members: list[int]
    pending: tuple[int, ...]  # the newest of (last prompt token, *path), not computed yet
    columns: tuple[int, ...] = ()  # where the computed ones stand


class Engine(Protocol):
    """Computes logits for nodes of a fixed list of prompts."""

    computed: int  # tokens that went through the model, padding left out
    forwards: int

    def logits(self, nodes: Sequence[Node]) -> Tensor:
        """(R, V) logits behind each node's path; nodes come in ascending order of their rows."""
        ...


class SharedPrefixEngine:
    """Prompts computed once, trees behind them in the same key-value cache."""

    def __init__(
        self, model: Any, prompts: Sequence[Sequence[int]], known: Sequence[PromptKeyValues | None]
    ) -> None:
        self.computed = 0
        self.forwards = 0
        self._model = model
        self._device = next(model.parameters()).device
        self._dtype = next(model.parameters()).dtype
        self._eager = decoder_of(model).config._attn_implementation == "eager"
        self._prompts = prompts
        self._slot = {row: row for row in range(len(prompts))}  # prompt -> row of the cache
        self._cache = KeyValueBuffers()
        self._valid = self._read_prompts(known)  # (B, P) columns that hold tokens of the prompt

    def logits(self, nodes: Sequence[Node]) -> Tensor:
        """(R, V); the nodes' pending tokens move into the cache."""
        self._retire({node.row for node in nodes})
        used = [0] * len(self._slot)
        slots, offsets = list[int](), list[int]()
        for node in nodes:
            slot = self._slot[node.row]
            slots.append(slot)
            offsets.append(used[slot])
            used[slot] += len(node.pending)
        width, base = max(used), self._cache.columns
        ids = torch.zeros((len(used), width), dtype=torch.long)
        positions = torch.zeros_like(ids)
        self._place(nodes, slots, offsets, ids, positions)
        mask = self._mask(nodes, slots, offsets, width, base)
        last = [offset + len(node.pending) - 1 for node, offset in zip(nodes, offsets, strict=True)]
        self.computed += sum(used)
        self.forwards += 1
        for node, offset in zip(nodes, offsets, strict=True):
            start = base + offset
            node.columns += tuple(range(start, start + len(node.pending)))
            node.pending = ()
        return self._forward(ids, positions, mask, torch.tensor(slots), torch.tensor(last))

    def key_values(self, row: int) -> PromptKeyValues:
        """A copy of what the prompt's tokens but the last left in the cache."""
        slot = self._slot[row]
        return self._cache.extract(slot, self._valid[slot].nonzero()[:, 0])

    def _read_prompts(self, known: Sequence[PromptKeyValues | None]) -> Tensor:
        """Compute all tokens of the prompts but the last and those already known."""
        start = torch.tensor([0 if k is None else k.keys[0].shape[1] for k in known])
        new = torch.tensor([len(p) - 1 for p in self._prompts]) - start
        left, width = int(start.max()), int(new.max())
        column = torch.arange(left + width)
        valid = (column < start[:, None]) | ((column >= left) & (column < left + new[:, None]))
        if left:
            self._cache.load(known, left)
        if width:
            ids = torch.zeros((len(new), width), dtype=torch.long)
            for b, prompt in enumerate(self._prompts):
                tail = torch.tensor(prompt[int(start[b]) : -1])
                ids[b, : len(tail)] = tail
                ids[b, len(tail) :] = prompt[-1]  # padding on the right, which no token looks at
            positions = start[:, None] + torch.arange(width).clamp(max=int(new.max()))
            positions = torch.minimum(positions, torch.tensor([len(p) - 1 for p in self._prompts])[:, None])
            # Without known columns plain causal attention is exact for rows padded on the right.
            mask = self._to_mask(_causal_behind(valid, left, width)) if left else None
            decoder_of(self._model)(
                input_ids=ids.to(self._device),
                position_ids=positions.to(self._device),
                attention_mask=mask,
                past_key_values=self._cache,
                use_cache=True,
            )
            self.computed += int(new.sum())
            self.forwards += 1
        return valid

    def _retire(self, live: set[int]) -> None:
        """Drop finished prompts once they are half of the rows, or no longer worth their padding."""
        if 2 * len(live) > len(self._slot):
            return
        kept = [row for row in self._slot if row in live]
        slots = torch.tensor([self._slot[row] for row in kept])
        self._cache.select(slots.to(self._device))
        self._valid = self._valid[slots]
        self._slot = {row: position for position, row in enumerate(kept)}

    def _place(
        self,
        nodes: Sequence[Node],
        slots: Sequence[int],
        offsets: Sequence[int],
        ids: Tensor,
        positions: Tensor,
    ) -> None:
        token_ids, token_positions = ids.numpy(), positions.numpy()  # views; item writes are cheaper
        for node, slot, offset in zip(nodes, slots, offsets, strict=True):
            first = len(self._prompts[node.row]) - 1 + len(node.columns)
            for j, token in enumerate(node.pending):
                token_ids[slot, offset + j] = token
                token_positions[slot, offset + j] = first + j

    def _mask(
        self,
        nodes: Sequence[Node],
        slots: Sequence[int],
        offsets: Sequence[int],
        width: int,
        base: int,
    ) -> Tensor:
        """(B, 1, Q, base + Q): prompt, computed ancestors, pending tokens up to the own one."""
        prompt = self._valid.shape[1]
        mask = torch.zeros((len(self._slot), width, base + width), dtype=torch.bool)
        mask[:, :, :prompt] = self._valid[:, None]
        own = torch.arange(width)
        mask[:, own, base + own] = True  # padding sees itself, so that no row of attention is empty
        cells = mask.numpy()
        for node, slot, offset in zip(nodes, slots, offsets, strict=True):
            end = offset + len(node.pending)
            if node.columns:
                cells[slot, offset:end, list(node.columns)] = True
            for j in range(offset + 1, end):
                cells[slot, j, base + offset : base + j] = True
        return self._to_mask(mask[:, None])

    def _to_mask(self, mask: Tensor) -> Tensor:
        mask = mask.to(self._device)
        return additive(mask, self._dtype) if self._eager else mask

    def _forward(self, ids: Tensor, positions: Tensor, mask: Tensor, slots: Tensor, last: Tensor) -> Tensor:
        options: dict[str, Any] = {}
        if _KEEPS_BY_MASK:  # nodes are in the order of rows and offsets, as the kept positions are
            keep = torch.zeros(ids.shape, dtype=torch.bool)
            keep[slots, last] = True
            options["logits_to_keep"] = keep.to(self._device)
        logits = self._model(
            input_ids=ids.to(self._device),
            position_ids=positions.to(self._device),
            attention_mask=mask,
            past_key_values=self._cache,
            use_cache=True,
            **options,
        ).logits
        return logits if logits.ndim == 2 else logits[slots.to(self._device), last.to(self._device)]


class RecomputeEngine:
    """Every node's whole sequence through the model, each time."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], pad_id: int) -> None:
        self.computed = 0
        self.forwards = 0
        self._model = model
        self._prompts = prompts
        self._pad_id = pad_id

    def logits(self, nodes: Sequence[Node]) -> Tensor:
        """(R, V)."""
        device = next(self._model.parameters()).device
        rows = [[*self._prompts[node.row], *node.path] for node in nodes]
        for node in nodes:
            node.pending = ()
        lengths = torch.tensor([len(row) for row in rows])
        ids = torch.full((len(rows), int(lengths.max())), self._pad_id)
        for b, row in enumerate(rows):
            ids[b, : len(row)] = torch.tensor(row)
        mask = torch.arange(ids.shape[1]) < lengths[:, None]
        self.computed += int(lengths.sum())
        self.forwards += 1
        logits = self._model(
            input_ids=ids.to(device), attention_mask=mask.long().to(device), use_cache=False
        ).logits
        return logits[torch.arange(len(rows)), (lengths - 1).to(device)]


def _causal_behind(valid: Tensor, left: int, width: int) -> Tensor:
    """(B, 1, Q, left + Q): new token i sees the known columns and the new tokens up to itself."""
    mask = valid[:, None, :].repeat(1, width, 1)
    mask[:, :, left:] &= torch.ones((width, width), dtype=torch.bool).tril()
    own = torch.arange(width)
    mask[:, own, left + own] = True
    return mask[:, None]
