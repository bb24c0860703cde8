"""State and action encoded apart by a bidirectional model, each distinct text once."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from agentq.backbones.backbone import Backbone
from agentq.errors import ConfigError, FeatureError
from agentq.features.batches import evaluating, length_batches
from agentq.features.pooling import pool

Truncation = Literal["error", "left", "right"]
Vector = NDArray[np.float32]

_CACHED_TEXTS = 16384  # vectors kept between calls, 25 MB at 384 dims


class TextEncoder:
    """Vectors of texts, and the features [s, a, s*a, |s-a|] of (state, action) text pairs.

    ``pooling`` is "mean" over a text's tokens or "cls"; ``truncation`` says which end of a text longer than
    the model is cut ("error": none). Raises ``ConfigError`` for another pooling.
    """

    def __init__(
        self,
        backbone: Backbone,
        layers: Sequence[int],
        pooling: str,
        batch_tokens: int,
        truncation: Truncation,
    ) -> None:
        if pooling not in ("mean", "cls", "first"):
            raise ConfigError(f"an encoder pools by mean or cls, not {pooling!r}. Set pooling='mean'.")
        self.backbone = backbone
        self.layers = tuple(layers)
        self.pooling = pooling
        self.batch_tokens = batch_tokens
        self.truncation: Truncation = truncation
        self.encoded = 0  # texts that went through the model
        self._cache: OrderedDict[str, Vector] = OrderedDict()

    def combine(self, pairs: Sequence[tuple[str, str | None]]) -> NDArray[np.float32]:
        """(n, 4 D) of (state, action) texts, or (n, D) of states alone (None)."""
        texts = dict.fromkeys(text for pair in pairs for text in pair if text is not None)
        vectors = dict(zip(texts, self.vectors(list(texts)), strict=True))
        states = np.stack([vectors[state] for state, _ in pairs])
        if pairs[0][1] is None:
            return states
        actions = np.stack([vectors[action] for _, action in pairs if action is not None])
        return np.concatenate([states, actions, states * actions, np.abs(states - actions)], axis=1)

    def vectors(self, texts: Sequence[str]) -> list[Vector]:
        """One (D * layers,) vector per distinct text, in order."""
        known = {text: self._cache[text] for text in texts if text in self._cache}
        new = [text for text in texts if text not in known]
        if new:
            known.update(zip(new, self._encode(new), strict=True))
        for text in texts:
            self._cache[text] = known[text]
            self._cache.move_to_end(text)
        while len(self._cache) > _CACHED_TEXTS:
            self._cache.popitem(last=False)
        return [known[text] for text in texts]

    def _encode(self, texts: list[str]) -> list[Vector]:
        rows = self._tokenise(texts)
        vectors: list[Vector] = [np.empty(0, dtype=np.float32)] * len(rows)
        with evaluating(self.backbone.model):
            for batch in length_batches([len(row) for row in rows], self.batch_tokens):
                for index, vector in zip(batch, self._forward([rows[i] for i in batch]), strict=True):
                    vectors[index] = vector.copy()  # a view would keep its whole batch alive in the cache
        self.encoded += len(texts)
        return vectors

    def _forward(self, rows: list[list[int]]) -> Vector:
        width = max(map(len, rows))
        ids = torch.full((len(rows), width), self.backbone.pad_id)
        attention = torch.zeros((len(rows), width), dtype=torch.bool)
        for row, tokens in enumerate(rows):
            ids[row, : len(tokens)] = torch.tensor(tokens)
            attention[row, : len(tokens)] = True
        device = self.backbone.device
        ids, attention = ids.to(device), attention.to(device)
        output: Any = self.backbone.model(
            input_ids=ids, attention_mask=attention.long(), output_hidden_states=True
        )
        parts = [
            pool(output.hidden_states[layer], attention, self.pooling, attention) for layer in self.layers
        ]
        return torch.cat(parts, dim=-1).float().cpu().numpy()

    def _tokenise(self, texts: list[str]) -> list[list[int]]:
        limit = self.backbone.max_length
        rows: list[list[int]] = self.backbone.tokenizer(texts, verbose=False)["input_ids"]
        long = [index for index, row in enumerate(rows) if len(row) > limit]
        if not long:
            return rows
        if self.truncation == "error":
            raise FeatureError(
                f"text {texts[long[0]][:60]!r}... has {len(rows[long[0]])} tokens, "
                f"{self.backbone.config.name!r} reads {limit}. Render shorter observations, or pass "
                "truncation='left' or 'right'."
            )
        warnings.warn(f"{len(long)} texts were cut to {limit} tokens ({self.truncation}).", stacklevel=2)
        tokenizer, side = self.backbone.tokenizer, self.backbone.tokenizer.truncation_side
        tokenizer.truncation_side = self.truncation
        try:
            cut = tokenizer([texts[index] for index in long], truncation=True, max_length=limit)["input_ids"]
        finally:
            tokenizer.truncation_side = side
        for index, row in zip(long, cut, strict=True):
            rows[index] = row
        return rows
