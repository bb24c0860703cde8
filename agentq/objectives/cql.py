"""Conservative Q-learning over the candidates of a state: values of unlogged actions are pushed down.

"Conservative Q-Learning for Offline Reinforcement Learning" (arXiv 2006.04779), equation 4 (CQL(H)), with
the log-sum-exp over sampled candidates and the logged action instead of all actions:

    penalty = mean_s ( T logsumexp_{a in C(s)} Q(s, a) / T  -  T log |C(s)|  -  Q(s, a_logged) )

Subtracting log |C(s)| keeps the penalty's size independent of the number of candidates. ``floor`` gives
Cal-QL ("Cal-QL: Calibrated Offline RL Pre-Training for Efficient Online Fine-Tuning", arXiv 2303.05479,
equation 5.1): a candidate is never pushed below the logged return.
"""

from __future__ import annotations

import torch
from torch import Tensor

from agentq.errors import TrainingError
from agentq.objectives.checks import check_shapes


def cql_penalty(
    q_candidates: Tensor,
    q_logged: Tensor,
    mask: Tensor | None = None,
    *,
    temperature: float = 1.0,
    subtract_log_count: bool = True,
    include_logged: bool = True,
    floor: Tensor | None = None,
) -> Tensor:
    """The penalty, a scalar averaged over states (and heads).

    ``q_candidates`` (..., S, N), ``q_logged`` (..., S), ``mask`` (S, N) true for valid candidates that are
    not the logged action itself, ``floor`` (S,) returns of the logged steps. States without a valid
    candidate do not count; with none at all the penalty is 0. Raises ``TrainingError`` when shapes differ.
    """
    if temperature <= 0:
        raise TrainingError(f"temperature is {temperature}, expected a positive number.")
    leading, candidates = tuple(q_candidates.shape[:-1]), q_candidates.shape[-1]
    check_shapes(leading, q_logged=q_logged)
    states = leading[-1] if leading else 0
    if mask is None:
        mask = torch.ones((states, candidates), dtype=torch.bool, device=q_candidates.device)
    check_shapes((states, candidates), mask=mask)
    mask = mask.to(torch.bool)
    if floor is not None:
        check_shapes((states,), floor=floor)
        q_candidates = torch.maximum(q_candidates, floor.detach().unsqueeze(-1))

    # Most negative finite number, not -inf: a state without candidates must not give NaN gradients.
    terms = q_candidates.masked_fill(~mask, torch.finfo(q_candidates.dtype).min)
    count = mask.sum(dim=-1)  # (S,)
    used = count > 0
    if include_logged:
        terms = torch.cat([terms, q_logged.unsqueeze(-1)], dim=-1)
        count = count + 1
    soft_max = temperature * torch.logsumexp(terms / temperature, dim=-1)  # (..., S)
    if subtract_log_count:
        soft_max = soft_max - temperature * count.clamp(min=1).to(soft_max.dtype).log()
    gap = torch.where(used, soft_max - q_logged, torch.zeros_like(q_logged))
    heads = gap.numel() // max(1, states)
    return gap.sum() / (used.sum().clamp(min=1) * max(1, heads))
