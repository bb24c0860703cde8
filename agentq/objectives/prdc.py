"""PRDC: a policy that maximises value while it stays near logged actions.

"Policy Regularization with Dataset Constraint for Offline Reinforcement Learning" (arXiv 2306.06569), equation 8:

    loss = -lambda mean Q(s, pi(s)) + MSE(pi(s), a_near),   lambda = alpha / mean |Q|

a_near is the action of the logged key that is nearest to [beta s ; pi(s)] (``agentq.critics.support``). As a loss
it fits policies with vector actions; a text agent uses the same distance to choose (selector "pessimistic").
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from agentq.objectives.checks import check_shapes


@dataclass(frozen=True, slots=True)
class PrdcLoss:
    """The parts of the policy's loss, scalars."""

    total: Tensor
    value: Tensor  # -lambda mean Q
    constraint: Tensor  # mean squared distance to the nearest logged actions
    weight: Tensor  # lambda, detached


def prdc_loss(q: Tensor, actions: Tensor, nearest_actions: Tensor, *, alpha: float = 2.5) -> PrdcLoss:
    """``q`` (B,) values of the policy's ``actions`` (B, D); ``nearest_actions`` (B, D) get no gradient."""
    check_shapes((actions.shape[0],), q=q)
    check_shapes(tuple(actions.shape), nearest_actions=nearest_actions)
    weight = alpha / q.abs().mean().detach()
    value = -weight * q.mean()
    constraint = ((actions - nearest_actions.detach()) ** 2).mean()
    return PrdcLoss(value + constraint, value, constraint, weight)
