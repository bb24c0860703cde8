"""What a stored feature depends on, as one key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Content = Literal["pairs", "states"]
#: (n, 2) uint64: 128 bits of the SHA-256 of what a feature was computed from.
Ids: TypeAlias = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class FeatureKey:
    """Everything besides the tokens that decides a feature's value; equal keys share one store."""

    backbone: str  # fingerprint of the base weights and the architecture
    adapter: str  # fingerprint of adapter weights; "": none
    template: str  # fingerprint of chat template, special tokens and vocabulary
    layers: tuple[int, ...]
    pooling: str
    content: Content = "pairs"
    grounding: str = ""  # name of the function whose text follows the action
    truncation: str = ""  # encoders: which end of a long text is cut
    dtype: Literal["float32", "float16"] = "float32"

    @property
    def digest(self) -> str:
        """SHA-256 of all fields, 64 hex digits."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def id_of_tokens(prompt: Sequence[int], action: Sequence[int]) -> bytes:
    """The 16-byte address of a (state, action) sequence; the border between them is part of it."""
    digest = hashlib.sha256(len(prompt).to_bytes(8, "little"))
    digest.update(np.asarray([*prompt, *action], dtype=np.int64).tobytes())
    return digest.digest()[:16]


def id_of_texts(*texts: str) -> bytes:
    """The 16-byte address of texts that an encoder reads apart."""
    return hashlib.sha256(json.dumps(texts).encode()).digest()[:16]


def as_ids(ids: Sequence[bytes] | Ids) -> Ids:
    """Addresses as an (n, 2) array."""
    if isinstance(ids, np.ndarray):
        return ids
    return np.frombuffer(b"".join(ids), dtype=np.uint64).reshape(-1, 2)
