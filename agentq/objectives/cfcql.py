"""Counterfactual CQL for actions made of several factors (agents, or the parts of a structured action).

"Counterfactual Conservative Q Learning for Offline Multi-agent Reinforcement Learning" (arXiv 2309.12696),
equation 5, with the sum of factor values as joint value Q(s, a) = sum_i q_i(s, a_i):

    neg = sum_i lambda_i logsumexp_j Q(s, a_{i<-j}, a_{-i})
    L   = 1/2 mean (Q(s, a) - y)^2 + alpha mean (neg - Q(s, a))

lambda_i = 1/n, or softmax_i(c KL_i) with KL_i between softmax_j of those values and the behaviour of factor i
(c = 100 or more means the arg-max factor only). One factor is the plain CQL penalty over discrete actions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from agentq.objectives.checks import check_shapes
from agentq.objectives.returns import td_lambda_returns

_UNAVAILABLE = -1e10  # as the released code; -inf would give NaN in softmax when nothing is available
_ARGMAX_TEMPERATURE = 100.0
_KL_OFFSET = 1e-5


@dataclass(frozen=True, slots=True)
class CounterfactualLoss:
    """The parts of the loss, each a scalar averaged over filled steps."""

    td: Tensor  # 1/2 squared TD(lambda) error
    negative: Tensor  # counterfactual log-sum-exp
    taken: Tensor  # joint value of the logged action
    target: Tensor
    alpha: float

    @property
    def penalty(self) -> Tensor:
        """How far unlogged actions are valued above the logged one, before the weight ``alpha``."""
        return self.negative - self.taken

    @property
    def total(self) -> Tensor:
        """TD error plus ``alpha`` times the penalty."""
        return self.td + self.alpha * self.penalty


def cfcql_loss(
    q: Tensor,
    target_q: Tensor,
    available: Tensor,
    actions: Tensor,
    reward: Tensor,
    terminated: Tensor,
    filled: Tensor,
    *,
    alpha: float = 1.0,
    gamma: float = 0.99,
    td_lambda: float = 0.8,
    behaviour: Tensor | None = None,
    temperature: float = 1.0,
) -> CounterfactualLoss:
    """Loss over padded episodes.

    ``q``, ``target_q``, ``available`` (B, T, n, A) online values, target values, 1 for a possible choice;
    ``actions`` (B, T, n) integers; ``reward``, ``terminated``, ``filled`` (B, T). The last of the T steps
    only serves as a target. With ``behaviour`` (B, T, n, A) probabilities, factors are weighted by how far
    the values' softmax strays from it, at ``temperature`` c; without, equally.
    """
    batch, steps, factors, _ = q.shape
    check_shapes(tuple(q.shape), target_q=target_q, available=available)
    check_shapes((batch, steps, factors), actions=actions)
    check_shapes((batch, steps), reward=reward, terminated=terminated, filled=filled)
    possible = available > 0
    chosen = q.gather(3, actions.unsqueeze(3)).squeeze(3)[:, :-1]  # (B, T-1, n)
    joint = chosen.sum(dim=2)  # (B, T-1)
    mask = filled[:, :-1].clone()
    mask[:, 1:] *= 1 - terminated[:, :-2]

    target = _double_q_returns(q, target_q, possible, reward, terminated, mask, gamma, td_lambda)
    values = joint.unsqueeze(2).unsqueeze(3) - chosen.unsqueeze(3) + q[:, :-1]  # Q(s, a_{i<-j}, a_{-i})
    values = values.masked_fill(~possible[:, :-1], _UNAVAILABLE)  # (B, T-1, n, A)
    weight = _factor_weights(
        values, possible[:, :-1], None if behaviour is None else behaviour[:, :-1], temperature
    )
    negative = (weight * torch.logsumexp(values, dim=3)).sum(dim=2)  # (B, T-1)

    def mean(x: Tensor) -> Tensor:
        return (x * mask).sum() / mask.sum()

    return CounterfactualLoss(
        td=mean(0.5 * (joint - target).square()),
        negative=mean(negative),
        taken=mean(joint),
        target=mean(target),
        alpha=alpha,
    )


def _double_q_returns(
    q: Tensor,
    target_q: Tensor,
    possible: Tensor,
    reward: Tensor,
    terminated: Tensor,
    mask: Tensor,
    gamma: float,
    td_lambda: float,
) -> Tensor:
    """TD(lambda) returns (B, T-1): the online network picks the action, the target network values it."""
    with torch.no_grad():
        best = q.masked_fill(~possible, _UNAVAILABLE).argmax(dim=3, keepdim=True)
        joint = target_q.gather(3, best).squeeze(3).sum(dim=2)  # (B, T)
        return td_lambda_returns(
            reward[:, :-1], terminated[:, :-1], joint, mask=mask, gamma=gamma, td_lambda=td_lambda
        )


def _factor_weights(values: Tensor, possible: Tensor, behaviour: Tensor | None, temperature: float) -> Tensor:
    """lambda_i, (B, T, n), detached: equal, or growing with the divergence from the behaviour."""
    factors = values.shape[2]
    if behaviour is None:
        return torch.full(values.shape[:3], 1.0 / factors, dtype=values.dtype, device=values.device)
    check_shapes(tuple(values.shape), behaviour=behaviour)
    with torch.no_grad():
        policy = torch.softmax(values, dim=3) + _KL_OFFSET
        terms = policy * (policy / (behaviour + _KL_OFFSET)).log()
        divergence = (terms * possible).sum(dim=3)  # (B, T, n)
        if temperature >= _ARGMAX_TEMPERATURE:
            return nn.functional.one_hot(divergence.argmax(dim=2), factors).to(values.dtype)
        return torch.softmax(temperature * divergence, dim=2)
