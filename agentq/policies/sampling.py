"""Next-token distributions and seeded draws from them, for many nodes at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from agentq.errors import CandidateError
from agentq.policies.constrained import Allowed
from agentq.types import FloatArray

_WIDE_VALUES = 1 << 22  # float64 values over whole vocabularies held at a time


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
    result: dict[int, Draws] = {}
    # Apple's accelerator has no float64.
    logits = logits.cpu() if logits.device.type == "mps" else logits
    listed = [r for r, a in enumerate(allowed) if a.ids is not None]
    if listed:
        ids = _padded_ids([allowed[r] for r in listed])  # (R', K), -1: padding
        rows = torch.tensor(listed, device=logits.device)[:, None]
        values = logits[rows, ids.clamp(min=0).to(logits.device)].double().cpu()
        values[ids < 0] = -torch.inf
        for row, (r, drawn) in enumerate(zip(listed, _draw(values, numbers, listed, temper), strict=True)):
            spelt = ids[row].tolist()
            result[r] = Draws([spelt[position] for position in drawn.tokens], drawn.logprobs)
    masked = [r for r, a in enumerate(allowed) if a.ids is None]
    chunk = max(1, _WIDE_VALUES // logits.shape[1])
    for start in range(0, len(masked), chunk):
        some = masked[start : start + chunk]
        values = _masked_values(logits, some, allowed)
        result.update(zip(some, _draw(values, numbers, some, temper), strict=True))
    return [result[r] for r in range(len(allowed))]


def _padded_ids(allowed: Sequence[Allowed]) -> Tensor:
    lists = [a.ids for a in allowed if a.ids is not None]
    ids = np.full((len(lists), max(len(x) for x in lists)), -1, dtype=np.int64)
    for row, listed in enumerate(lists):
        ids[row, : len(listed)] = listed
    return torch.from_numpy(ids)


def _masked_values(logits: Tensor, rows: Sequence[int], allowed: Sequence[Allowed]) -> Tensor:
    values = logits[torch.tensor(rows, device=logits.device)].double()  # (R', V)
    keep = np.ones(values.shape, dtype=np.bool_)
    for row, r in enumerate(rows):
        mask = allowed[r].mask
        if mask is not None:  # the model may have more or fewer output rows than the tokenizer has tokens
            width = min(len(mask), keep.shape[1])
            keep[row, :width] = mask[:width]
            keep[row, width:] = False
    return values.masked_fill_(torch.from_numpy(~keep).to(values.device), -torch.inf)


def _draw(values: Tensor, numbers: Sequence[FloatArray], rows: Sequence[int], temper: Temper) -> list[Draws]:
    """Positions in each row of ``values`` (R', K); ``numbers`` is indexed by ``rows``."""
    counts = [len(numbers[r]) for r in rows]
    if temper.temperature == 0:
        best = values.argmax(dim=1).tolist()
        return [Draws([token] * count, [0.0] * count) for token, count in zip(best, counts, strict=True)]
    logprobs = torch.log_softmax(values / temper.temperature, dim=1)
    if temper.top_p < 1:
        kept = logprobs.masked_fill(~_nucleus(logprobs, temper.top_p), -torch.inf)
        logprobs = torch.log_softmax(kept, dim=1)
    cumulative = logprobs.exp().cumsum(dim=1)
    padded = np.zeros((len(rows), max(counts)))
    for row, r in enumerate(rows):
        padded[row, : counts[row]] = numbers[r]
    total = cumulative[:, -1:]
    # Strictly below the total, so that rounding can never select a token of probability zero.
    below = torch.nextafter(total, torch.zeros_like(total))
    wanted = torch.minimum(torch.from_numpy(padded).to(total.device) * total, below)
    tokens = torch.searchsorted(cumulative, wanted, right=True)
    chosen = logprobs.gather(1, tokens).tolist()
    return [
        Draws(drawn[:count], logs[:count])
        for drawn, logs, count in zip(tokens.tolist(), chosen, counts, strict=True)
    ]


def _nucleus(logprobs: Tensor, top_p: float) -> Tensor:
    """The smallest set of most likely tokens with probability >= top_p (Holtzman et al. 2019, 1904.09751)."""
    ranked, order = logprobs.sort(dim=1, descending=True, stable=True)
    probabilities = ranked.exp()
    before = probabilities.cumsum(dim=1) - probabilities
    return torch.zeros_like(logprobs, dtype=torch.bool).scatter_(1, order, before < top_p)
