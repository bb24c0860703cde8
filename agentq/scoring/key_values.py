"""Keys and values of prompts and of the tokens behind them, written in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer


@dataclass(frozen=True, slots=True)
class PromptKeyValues:
    """Keys and values of one prompt, one (H, T, D) tensor per layer."""

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]

    @property
    def nbytes(self) -> int:
        """Memory of all layers in bytes."""
        return sum(t.numel() * t.element_size() for t in (*self.keys, *self.values))


class _BufferLayer(DynamicLayer):
    """A layer that keeps room behind its tokens: appending copies the new tokens only."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.filled = 0

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        end = self.filled + key_states.shape[2]
        self.reserve(key_states, end)
        assert self.keys is not None
        assert self.values is not None
        self.keys[:, :, self.filled : end] = key_states
        self.values[:, :, self.filled : end] = value_states
        self.filled = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def reserve(self, like: Tensor, end: int) -> None:
        """Make room for ``end`` tokens of tensors shaped (B, H, *, D) like ``like``."""
        if self.keys is not None and self.values is not None and self.keys.shape[2] >= end:
            return
        size = (like.shape[0], like.shape[1], end + self.room, like.shape[3])
        old = (self.keys, self.values)
        self.keys, self.values = like.new_zeros(size), like.new_zeros(size)
        if old[0] is not None and old[1] is not None:
            self.keys[:, :, : self.filled] = old[0][:, :, : self.filled]
            self.values[:, :, : self.filled] = old[1][:, :, : self.filled]
        self.dtype, self.device, self.is_initialized = like.dtype, like.device, True

    def get_seq_length(self) -> int:
        return self.filled

    def select(self, rows: Tensor) -> None:
        if self.keys is not None and self.values is not None:
            self.keys, self.values = self.keys.index_select(0, rows), self.values.index_select(0, rows)


class AllKept(Exception):
    """The last layer's keys and values are there: what a model computes behind them is not needed."""


class KeyValueBuffers(Cache):
    """A transformers cache for B rows whose appended tokens stand in common columns.

    With ``last``, the number of a model's last layer, ``update`` raises ``AllKept`` once it has that layer's: its
    attention and everything behind change no keys or values.
    """

    def __init__(self, room: int = 64, last: int | None = None) -> None:
        super().__init__(layers=[])
        self._room = room
        self._last = last

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Append (B, H, Q, D) and return everything so far."""
        found = self._layer(layer_idx).update(key_states, value_states)
        if layer_idx == self._last:
            raise AllKept
        return found

    @property
    def columns(self) -> int:
        """How many columns are filled."""
        return self.get_seq_length()

    def load(self, rows: Sequence[PromptKeyValues | None], width: int) -> None:
        """Fill the first ``width`` columns of an empty cache; row b keeps its own columns on the left."""
        some = next(row for row in rows if row is not None)
        for index in range(len(some.keys)):
            layer = self._layer(index)
            heads, _, depth = some.keys[index].shape
            layer.reserve(some.keys[index].new_empty((len(rows), heads, 0, depth)), width)
            assert layer.keys is not None
            assert layer.values is not None
            for b, row in enumerate(rows):
                if row is not None:
                    length = row.keys[index].shape[1]
                    layer.keys[b, :, :length] = row.keys[index]
                    layer.values[b, :, :length] = row.values[index]
            layer.filled = width

    def extract(self, row: int, columns: Tensor | slice) -> PromptKeyValues:
        """A copy of some columns of one row."""
        keys, values = list[Tensor](), list[Tensor]()
        for layer in self._buffers:
            assert layer.keys is not None
            assert layer.values is not None
            keys.append(layer.keys[row][:, columns].clone())
            values.append(layer.values[row][:, columns].clone())
        return PromptKeyValues(tuple(keys), tuple(values))

    def select(self, rows: Tensor) -> None:
        """Keep some rows, in this order."""
        for layer in self._buffers:
            layer.select(rows)

    @property
    def _buffers(self) -> list[_BufferLayer]:
        return self.layers  # type: ignore[return-value]

    def _layer(self, index: int) -> _BufferLayer:
        while len(self._buffers) <= index:
            self._buffers.append(_BufferLayer(self._room))
        return self._buffers[index]


def additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """A boolean mask (True: visible) as the additive one that eager attention takes."""
    zeros = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    return zeros.masked_fill(~mask, torch.finfo(dtype).min)
