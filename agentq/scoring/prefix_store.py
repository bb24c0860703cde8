"""Keys and values of recent prompts, found again by what a new prompt starts with."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agentq.scoring.key_values import PromptKeyValues

_BLOCK = 16  # tokens; a shared start is found at multiples of this and at the end of a stored prompt
_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so no power of it vanishes modulo 2**64


@dataclass(frozen=True, slots=True)
class _Entry:
    ids: tuple[int, ...]
    content: PromptKeyValues
    hashes: tuple[int, ...]


class PrefixStore:
    """Least-recently-used prompts within a budget of bytes."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.nbytes = 0
        self._entries: OrderedDict[int, _Entry] = OrderedDict()  # by the hash of all tokens
        self._index: dict[int, int] = {}  # hash of a start -> hash of the newest entry that has it
        self._powers = np.ones(1, dtype=np.uint64)

    def __len__(self) -> int:
        return len(self._entries)

    def clear(self) -> None:
        """Forget everything (the weights changed)."""
        self._entries.clear()
        self._index.clear()
        self.nbytes = 0

    def holds(self, ids: Sequence[int]) -> bool:
        """Whether just this prompt is remembered."""
        return bool(ids) and self._hashes(ids)[-1] in self._entries

    def find(self, ids: Sequence[int]) -> PromptKeyValues | None:
        """Keys and values of the longest known start of ``ids``, at most all of them."""
        if not self._entries:
            return None
        hashes = self._hashes(ids)
        for length in range(len(ids), 0, -1):
            key = self._index.get(hashes[length - 1])
            if key is None:
                continue
            entry = self._entries[key]
            if len(entry.ids) >= length and list(entry.ids[:length]) == list(ids[:length]):
                self._entries.move_to_end(key)
                return _start_of(entry.content, length)
        return None

    def put(self, ids: Sequence[int], content: PromptKeyValues) -> None:
        """Remember a prompt; the least recently used ones make room. Larger than the budget: not kept."""
        if not ids or content.nbytes > self.budget:
            return
        hashes = self._hashes(ids)
        key = hashes[-1]
        if key in self._entries:
            self._entries.move_to_end(key)
            return
        marks = {*hashes[_BLOCK - 1 :: _BLOCK], key}
        self._entries[key] = _Entry(tuple(ids), content, tuple(marks))
        self._index.update(dict.fromkeys(marks, key))
        self.nbytes += content.nbytes
        while self.nbytes > self.budget:
            self._evict()

    def _evict(self) -> None:
        key, entry = self._entries.popitem(last=False)
        self.nbytes -= entry.content.nbytes
        for mark in entry.hashes:
            if self._index.get(mark) == key:
                del self._index[mark]

    def _hashes(self, ids: Sequence[int]) -> list[int]:
        """Hash of every start: sum of (id + 1) * base**position modulo 2**64. Hits are compared in full."""
        if len(self._powers) < len(ids):
            factors = np.full(2 * len(ids), _BASE, dtype=np.uint64)
            factors[0] = 1
            self._powers = np.cumprod(factors, dtype=np.uint64)
        terms = (np.asarray(ids, dtype=np.uint64) + np.uint64(1)) * self._powers[: len(ids)]
        return np.cumsum(terms, dtype=np.uint64).tolist()


def _start_of(content: PromptKeyValues, length: int) -> PromptKeyValues:
    if content.keys[0].shape[1] == length:
        return content
    return PromptKeyValues(
        tuple(t[:, :length] for t in content.keys), tuple(t[:, :length] for t in content.values)
    )
