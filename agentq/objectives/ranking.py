"""Ranking the candidates of one state: selection only needs contrast within a state.

Labels are returns of each candidate (Monte-Carlo continuations from a snapshot); NaN means not labelled.

pairwise: logistic loss on ordered pairs, "Learning to Rank using Gradient Descent" (RankNet, ICML 2005),
equation 3. listwise: cross entropy between the softmax of labels and of values, "Learning to Rank: From
Pairwise Approach to Listwise Approach" (ListNet, ICML 2007), equation 4 with top-one probabilities.
advantage: squared error between both after taking off the mean of the state, so that how good a state is
does not drown which of its candidates is better.

Every function takes values (..., S, N) (leading dimensions, e.g. heads, are averaged), labels (S, N) and an
optional mask (S, N), and returns a scalar; states without contrast do not count, and 0 is returned when
none has any.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from agentq.errors import TrainingError
from agentq.objectives.checks import check_shapes


def pairwise_ranking_loss(
    q: Tensor,
    labels: Tensor,
    mask: Tensor | None = None,
    *,
    margin: float = 0.0,
    temperature: float = 1.0,
    weigh_by_gap: bool = False,
) -> Tensor:
    """mean over pairs with y_i - y_j > margin of log(1 + exp(-(q_i - q_j) / T)).

    ``weigh_by_gap`` weighs each pair by y_i - y_j, so that near ties hardly matter. Pairs are averaged within
    a state first: a state with many candidates counts as much as one with two.
    """
    _check_temperature(temperature)
    labels, used = _labelled(q, labels, mask)
    gap = labels.unsqueeze(2) - labels.unsqueeze(1)  # (S, N, N): entry [i, j] is y_i - y_j
    ordered = (gap > margin) & used.unsqueeze(2) & used.unsqueeze(1)
    weight = torch.where(ordered, gap if weigh_by_gap else torch.ones_like(gap), 0.0).to(q.dtype)
    values = q.masked_fill(~used, 0.0)
    difference = (values.unsqueeze(-1) - values.unsqueeze(-2)) / temperature  # (..., S, N, N)
    per_state = (weight * F.softplus(-difference)).sum(dim=(-2, -1))  # (..., S)
    total = weight.sum(dim=(1, 2))  # (S,)
    contrast = total > 0
    return _mean_over_states(per_state / total.masked_fill(~contrast, 1.0), contrast)


def listwise_ranking_loss(
    q: Tensor,
    labels: Tensor,
    mask: Tensor | None = None,
    *,
    temperature: float = 1.0,
    label_temperature: float = 1.0,
) -> Tensor:
    """mean_S -sum_i softmax(y / T_y)_i log softmax(q / T)_i over labelled candidates."""
    _check_temperature(temperature)
    _check_temperature(label_temperature)
    labels, used = _labelled(q, labels, mask)
    lowest = torch.finfo(q.dtype).min
    wanted = torch.softmax((labels / label_temperature).to(q.dtype).masked_fill(~used, lowest), dim=-1)
    log_p = torch.log_softmax((q / temperature).masked_fill(~used, lowest), dim=-1)
    per_state = -(wanted.masked_fill(~used, 0.0) * log_p.masked_fill(~used, 0.0)).sum(dim=-1)  # (..., S)
    return _mean_over_states(per_state, used.sum(dim=1) > 1)


def advantage_loss(q: Tensor, labels: Tensor, mask: Tensor | None = None) -> Tensor:
    """mean_i ((q_i - mean q) - (y_i - mean y))^2 over the labelled candidates of each state."""
    labels, used = _labelled(q, labels, mask)
    error = (_centred(q, used) - _centred(labels.to(q.dtype), used)).square().masked_fill(~used, 0.0)
    count = used.sum(dim=1)
    return _mean_over_states(error.sum(dim=-1) / count.clamp(min=1), count > 1)


def candidate_advantages(values: Tensor, mask: Tensor) -> Tensor:
    """Values minus their mean over the state's used candidates, (..., S, N); 0 where ``mask`` is false."""
    check_shapes(tuple(values.shape[-2:]), mask=mask)
    used = mask.to(torch.bool)
    return _centred(values, used).masked_fill(~used, 0.0)


def _centred(values: Tensor, used: Tensor) -> Tensor:
    total = values.masked_fill(~used, 0.0).sum(dim=-1, keepdim=True)
    return values.masked_fill(~used, 0.0) - total / used.sum(dim=-1, keepdim=True).clamp(min=1)


def _labelled(q: Tensor, labels: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Labels with 0 where unknown, and (S, N) booleans: labelled and not masked out."""
    if q.ndim < 2:
        raise TrainingError(f"q has shape {tuple(q.shape)}, expected (..., S states, N candidates).")
    check_shapes(tuple(q.shape[-2:]), labels=labels)
    used = ~torch.isnan(labels)
    if mask is not None:
        check_shapes(tuple(labels.shape), mask=mask)
        used = used & mask.to(torch.bool)
    return labels.detach().masked_fill(~used, 0.0), used


def _mean_over_states(per_state: Tensor, counted: Tensor) -> Tensor:
    """Mean of (..., S) over the states counted (S,) and all leading dimensions; 0 when none is."""
    kept = per_state.masked_fill(~counted, 0.0)
    copies = per_state.numel() // max(1, counted.numel())
    return kept.sum() / (counted.sum().clamp(min=1) * max(1, copies))


def _check_temperature(temperature: float) -> None:
    if temperature <= 0:
        raise TrainingError(f"temperature is {temperature}, expected a positive number.")
