"""Policy extraction by best-of-N imitation, and its alternatives.

"Digi-Q: Learning (VLM) Q-Value Functions for Training Device-Control Agents" (arXiv 2502.15760), section on
best-of-N policy extraction. Of N stored candidates per state the one of highest advantage is imitated if that
advantage is large enough:

    A = q - v,   a* = argmax_a A,   A* = clip(A(a*), 0, 1),   L = -mean_s w(A*) sum_t log p(a*_t)
    w = 1[A* > threshold] (best-of-n) | multiplier A* (pg) | exp(A* / beta) (awr) | 1 (sft)

The released code combines heads by their maximum, gives invalid candidates advantage 0 (so that they win
when all others are worse) and lets awr weights overflow; ``compat="digi_q"`` reproduces that. The default
combines by the minimum, never picks an invalid candidate and bounds the weight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from agentq.errors import TrainingError
from agentq.objectives.checks import check_rank, check_shapes
from agentq.objectives.td import Compat

Extraction: TypeAlias = Literal["best-of-n", "pg", "awr", "sft"]


@dataclass(frozen=True, slots=True)
class Extracted:
    """Which candidate of each state is imitated and how strongly; no gradients."""

    chosen: Tensor  # (B,) position among the candidates; -1: no valid candidate
    advantage: Tensor  # (B,) clipped into [0, 1]
    weight: Tensor  # (B,)


def extract(
    q: Tensor,
    v: Tensor,
    valid: Tensor,
    *,
    rule: Extraction = "best-of-n",
    threshold: float = 0.1,
    beta: float = 0.01,
    multiplier: float = 5.0,
    max_weight: float = 100.0,
    compat: Compat | None = None,
) -> Extracted:
    """Choose and weigh one candidate per state; the first wins ties.

    ``q`` (K, B, N) and ``v`` (K, B) are values (probabilities for classification heads), ``valid`` (B, N).
    ``threshold`` was 0.10 (general) and 0.05 (web shopping) in the paper's runs. Raises ``TrainingError``
    when shapes differ or the rule is unknown.
    """
    check_rank(3, "(K heads, B states, N candidates)", q=q)
    check_shapes((v.shape[0], q.shape[1]), v=v)
    check_shapes(tuple(q.shape[1:]), valid=valid)
    valid = valid.to(torch.bool)
    with torch.no_grad():
        if compat == "digi_q":
            advantage = (q.amax(dim=0) - v.amax(dim=0).unsqueeze(1)).masked_fill(~valid, 0.0)
            usable = torch.ones_like(valid[:, 0])
        else:
            advantage = (q.amin(dim=0) - v.amin(dim=0).unsqueeze(1)).masked_fill(~valid, -math.inf)
            usable = valid.any(dim=1)
        best, chosen = _first_max(advantage)
        best = torch.where(usable, best, torch.zeros_like(best)).clamp(0.0, 1.0)
        ceiling = math.inf if compat == "digi_q" else max_weight
        weight = extraction_weights(
            best, rule, threshold=threshold, beta=beta, multiplier=multiplier, max_weight=ceiling
        )
        return Extracted(
            chosen=torch.where(usable, chosen, torch.full_like(chosen, -1)),
            advantage=best,
            weight=weight * usable.to(weight.dtype),
        )


def extraction_weights(
    advantage: Tensor,
    rule: Extraction,
    *,
    threshold: float,
    beta: float,
    multiplier: float,
    max_weight: float = math.inf,
) -> Tensor:
    """w(A*) of the four rules, any shape; ``max_weight`` bounds the exponential of awr."""
    if rule == "best-of-n":
        return (advantage > threshold).to(advantage.dtype)
    if rule == "pg":
        return multiplier * advantage
    if rule == "awr":
        exponent = advantage / beta
        bounded = exponent if math.isinf(max_weight) else exponent.clamp(max=math.log(max_weight))
        return bounded.exp()
    if rule == "sft":
        return torch.ones_like(advantage)
    raise TrainingError(f"rule {rule!r} is unknown; expected 'best-of-n', 'pg', 'awr' or 'sft'.")


def clipped_token_logprobs(
    logits: Tensor, labels: Tensor, mask: Tensor, *, low: float = 0.001, high: float = 0.99
) -> Tensor:
    """log clip(p(label), low, high) where mask, 0 elsewhere: (B, T, V), (B, T), (B, T) -> (B, T).

    Position t of ``logits`` predicts ``labels`` at t. No gradient flows where the probability is clipped.
    """
    check_shapes(tuple(logits.shape[:2]), labels=labels, mask=mask)
    used = mask.to(torch.bool)
    index = labels.masked_fill(~used, 0).unsqueeze(2)  # padding labels such as -100 cannot be gathered
    probability = torch.softmax(logits, dim=2).gather(2, index).squeeze(2)
    return probability.clamp(low, high).log().masked_fill(~used, 0.0)


def weighted_likelihood_loss(token_logprobs: Tensor, weight: Tensor) -> Tensor:
    """-mean_B w sum_t log p: masked token log-probabilities (B, T), weights (B,) -> scalar."""
    check_shapes((token_logprobs.shape[0],), weight=weight)
    return -(weight.detach() * token_logprobs.sum(dim=1)).mean()


def candidate_order(
    stored: int, drawn: int, generator: torch.Generator, *, compat: Compat | None = None
) -> Tensor:
    """Which of the ``stored`` candidates to score, (drawn,) distinct indices; the logged one (0) comes first.

    The released code overwrites the first of the drawn indices with 0, which repeats 0 and loses a candidate
    unless 0 was not drawn; ``compat="digi_q"`` does so too.
    """
    if not 1 <= drawn <= stored:
        raise TrainingError(f"cannot draw {drawn} of {stored} stored candidates; expected 1 to {stored}.")
    if compat == "digi_q":
        order = torch.randperm(stored, generator=generator)[:drawn]
        order[0] = 0
        return order
    others = 1 + torch.randperm(stored - 1, generator=generator)[: drawn - 1]
    return torch.cat([torch.zeros(1, dtype=others.dtype), others])


def _first_max(values: Tensor) -> tuple[Tensor, Tensor]:
    """Row maxima (B,) and the first position reaching each; torch's argmax may return any of them."""
    best = values.amax(dim=1)
    return best, (values == best.unsqueeze(1)).to(torch.int8).argmax(dim=1)
