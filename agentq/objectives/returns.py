"""Returns of logged episodes and the stacking of consecutive observations.

Discounted return R_t = sum_k gamma^k r_(t+k); n-step and TD(lambda) returns as in "Reinforcement Learning: An
Introduction" (Sutton and Barto, 2nd edition), equations 7.1 and 12.2; frame stacking as in Digi-Q (arXiv
2502.15760).
"""

from __future__ import annotations

import torch
from torch import Tensor

from agentq.errors import TrainingError
from agentq.objectives.checks import check_shapes


def discounted_returns(rewards: Tensor, gamma: float) -> Tensor:
    """R_t of one episode or of a batch: (..., T) -> (..., T). No bootstrap after the last step."""
    returns = torch.empty_like(rewards)
    running = torch.zeros_like(rewards[..., 0]) if rewards.shape[-1] else rewards
    for t in reversed(range(rewards.shape[-1])):
        running = rewards[..., t] + gamma * running
        returns[..., t] = running
    return returns


def n_step_returns(rewards: Tensor, values: Tensor, *, gamma: float, steps: int) -> Tensor:
    """sum_{k<h} gamma^k r_(t+k) + gamma^h V(s_(t+h)), h = min(steps, T - t) -> (..., T).

    ``rewards`` (..., T); ``values`` (..., T+1) are V(s_0) ... V(s_T); put 0 in the last entry when
    the episode terminated there.
    """
    if steps < 1:
        raise TrainingError(f"steps is {steps}, expected at least 1.")
    horizon = rewards.shape[-1]
    check_shapes((*rewards.shape[:-1], horizon + 1), values=values)
    returns = torch.empty_like(rewards)
    for t in range(horizon):
        h = min(steps, horizon - t)
        discounts = gamma ** torch.arange(h, dtype=rewards.dtype, device=rewards.device)
        returns[..., t] = (discounts * rewards[..., t : t + h]).sum(dim=-1) + gamma**h * values[..., t + h]
    return returns


def td_lambda_returns(
    rewards: Tensor,
    terminated: Tensor,
    values: Tensor,
    *,
    gamma: float,
    td_lambda: float,
    mask: Tensor | None = None,
) -> Tensor:
    """G_t = r_t + gamma ((1 - lambda) (1 - d_t) V(s_(t+1)) + lambda G_(t+1)) -> (B, T).

    ``rewards``, ``terminated``, ``mask`` (B, T); ``values`` (B, T+1) = V(s_0) ... V(s_T). Steps with mask 0
    are padding: their immediate term is dropped. The recursion starts from V(s_T), which counts as 0 in an
    episode that terminated anywhere.
    """
    batch, horizon = rewards.shape
    check_shapes((batch, horizon), terminated=terminated)
    check_shapes((batch, horizon + 1), values=values)
    used = torch.ones_like(rewards) if mask is None else mask
    check_shapes((batch, horizon), mask=used)
    returns = torch.empty_like(rewards)
    running = values[:, horizon] * (1 - terminated.sum(dim=1))
    for t in reversed(range(horizon)):
        one_step = rewards[:, t] + (1 - td_lambda) * gamma * values[:, t + 1] * (1 - terminated[:, t])
        running = td_lambda * gamma * running + used[:, t] * one_step
        returns[:, t] = running
    return returns


def stack_frames(features: Tensor, last_next: Tensor) -> tuple[Tensor, Tensor]:
    """(stacked, next stacked), each (T, 2F), of one episode's observations (T, F) and the one after it (F,).

    A state is (previous, current), the first one (current, current); the next state is (current, next).
    """
    check_shapes((features.shape[-1],), last_next=last_next)
    previous = torch.cat([features[:1], features[:-1]])
    following = torch.cat([features[1:], last_next.unsqueeze(0)])
    return torch.cat([previous, features], dim=1), torch.cat([features, following], dim=1)
