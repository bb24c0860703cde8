"""Next-token distributions and seeded draws from them, for many nodes at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agentq.errors import CandidateError
from agentq.policies.constrained import Allowed
from agentq.types import FloatArray

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Draws:
    """One token per uniform number of one node."""

    tokens: list[int]
    logprobs: list[float]  # natural log, under the distribution drawn from


@dataclass(frozen=True, slots=True)
class Temper:
    """Temperature and nucleus; temperature 0 puts all probability on the most likely token."""

    temperature: float = 1.0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature) and self.temperature >= 0):
            raise CandidateError(
                f"temperature={self.temperature} is impossible; expected a number >= 0. "
                "Use 1 for the model's own distribution, 0 for greedy decoding."
            )
        if not 0 < self.top_p <= 1:
            raise CandidateError(
                f"top_p={self.top_p} is impossible; expected 0 < top_p <= 1. Use 1 to keep every token."
            )


def uniforms(seed: int, n: int, width: int) -> FloatArray:
    """(n, width) numbers in [0, 1); row i is the stream of sample i, the same for every n > i."""
    return np.random.default_rng(seed).random((n, width))


def draw(
    logits: Tensor, allowed: Sequence[Allowed], numbers: Sequence[FloatArray], temper: Temper
) -> list[Draws]:
    """Draw tokens by the inverse distribution function.

    ``logits`` (R, V) unnormalised, ``allowed[r]`` the tokens that node r may take, ``numbers[r]`` one
    uniform number per wanted token. Everything behind the logits is float64.
    """
    result: list[Draws | None] = [None] * len(allowed)
    listed = [r for r, a in enumerate(allowed) if a.ids is not None]
    masked = [r for r, a in enumerate(allowed) if a.ids is None]
    if listed:
        ids = _padded_ids([allowed[r] for r in listed])  # (R', K), -1: padding
        rows = torch.tensor(listed, device=logits.device)[:, None]
        chosen = logits[rows, torch.from_numpy(np.maximum(ids, 0)).to(logits.device)]
        values = chosen.double().cpu().numpy()
        values[ids < 0] = -np.inf
        for r, token_ids, drawn in zip(listed, ids, _draw(values, numbers, listed, temper), strict=True):
            result[r] = Draws(token_ids[drawn.tokens].tolist(), drawn.logprobs)
    if masked:
        values = logits[torch.tensor(masked, device=logits.device)].double().cpu().numpy()
        for row, r in enumerate(masked):
            mask = allowed[r].mask
            if mask is not None:
                values[row, : len(mask)][~mask[: values.shape[1]]] = -np.inf
                values[row, len(mask) :] = -np.inf
        for r, drawn in zip(masked, _draw(values, numbers, masked, temper), strict=True):
            result[r] = drawn
    return [drawn for drawn in result if drawn is not None]


def _padded_ids(allowed: Sequence[Allowed]) -> IntArray:
    lists = [a.ids for a in allowed if a.ids is not None]
    ids = np.full((len(lists), max(len(x) for x in lists)), -1, dtype=np.int64)
    for row, listed in enumerate(lists):
        ids[row, : len(listed)] = listed
    return ids


def _draw(
    values: FloatArray, numbers: Sequence[FloatArray], rows: Sequence[int], temper: Temper
) -> list[Draws]:
    """Positions in each row of ``values`` (R', K); ``numbers`` is indexed by ``rows``."""
    if temper.temperature == 0:
        best = values.argmax(axis=1)
        return [Draws([int(best[i])] * len(numbers[r]), [0.0] * len(numbers[r])) for i, r in enumerate(rows)]
    logprobs = _log_softmax(values / temper.temperature)
    if temper.top_p < 1:
        logprobs = _log_softmax(np.where(_nucleus(logprobs, temper.top_p), logprobs, -np.inf))
    cumulative = np.exp(logprobs).cumsum(axis=1)
    drawn: list[Draws] = []
    for i, r in enumerate(rows):
        total = cumulative[i, -1]
        # Strictly below the total, so that rounding can never select a token of probability zero.
        wanted = np.minimum(numbers[r] * total, np.nextafter(total, 0))
        tokens = np.searchsorted(cumulative[i], wanted, side="right")
        drawn.append(Draws(tokens.tolist(), logprobs[i, tokens].tolist()))
    return drawn


def _log_softmax(values: FloatArray) -> FloatArray:
    shifted = values - values.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _nucleus(logprobs: FloatArray, top_p: float) -> NDArray[np.bool_]:
    """The smallest set of most likely tokens with probability >= top_p (Holtzman et al. 2019, 1904.09751)."""
    order = np.argsort(-logprobs, axis=1, kind="stable")
    ranked = np.exp(np.take_along_axis(logprobs, order, axis=1))
    before = ranked.cumsum(axis=1) - ranked
    keep = np.zeros(logprobs.shape, dtype=np.bool_)
    np.put_along_axis(keep, order, before < top_p, axis=1)
    return keep
