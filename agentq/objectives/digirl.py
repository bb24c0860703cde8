"""DigiRL: step-level value classifiers and the filter built on their difference.

"DigiRL: Training In-The-Wild Device-Control Agents with Autonomous Reinforcement Learning" (arXiv
2406.11896). The paper mixes one-step and Monte-Carlo advantages by lambda and thresholds at 1/H; the
released code does the following, with V the class-1 probability, minimum over two heads:

    L = sum_i CE(V_i(s), 1[R_t > 0]) + CE(V_i(s_next), 1[R_t > 0])
    w = 1[ clip(min V(s_next) - min V(s) - margin + r + R_t, 0, 1) > 0 ],  margin 0.05
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agentq.errors import TrainingError
from agentq.objectives.checks import check_rank, check_shapes
from agentq.objectives.monte_carlo import monte_carlo_loss


@dataclass(frozen=True, slots=True)
class StepCriticLosses:
    """Cross entropies per head, at the current and at the next state."""

    current: Tensor  # (K,)
    following: Tensor  # (K,)

    @property
    def total(self) -> Tensor:
        """Sum over heads and both states, a scalar."""
        return self.current.sum() + self.following.sum()


def step_critic_loss(v: Tensor, next_v: Tensor, returns: Tensor) -> StepCriticLosses:
    """Both losses from logits of class 1 (``pointwise.two_class_logit``): (K, B), (K, B) and returns (B,)."""
    check_shapes(tuple(v.shape), next_v=next_v)
    return StepCriticLosses(
        current=monte_carlo_loss(v, returns, metric="classification"),
        following=monte_carlo_loss(next_v, returns, metric="classification"),
    )


def step_weights(v: Tensor, next_v: Tensor, reward: Tensor, returns: Tensor, margin: float = 0.05) -> Tensor:
    """0/1 weight of each logged step: logits (K, B) at s and s_next, reward and return (B,) -> (B,)."""
    check_rank(2, "(K heads, B rows)", v=v)
    check_shapes(tuple(v.shape), next_v=next_v)
    check_shapes((v.shape[1],), reward=reward, returns=returns)
    with torch.no_grad():
        gain = torch.sigmoid(next_v).amin(dim=0) - torch.sigmoid(v).amin(dim=0)
        advantage = gain - margin + reward + returns
        return (advantage.clamp(0.0, 1.0) > 0).to(v.dtype)


def keep_trajectories(
    returns: Tensor, instruction_value: Tensor | None = None, *, quantile: float = 0.9
) -> Tensor:
    """Which trajectories to imitate, (T,) booleans: return minus instruction value at or above the quantile.

    Without ``instruction_value`` (offline) the return alone counts. Both are (T,).
    """
    if not 0.0 <= quantile <= 1.0:
        raise TrainingError(f"quantile is {quantile}, expected a number in [0, 1].")
    surplus = returns
    if instruction_value is not None:
        check_shapes(tuple(returns.shape), instruction_value=instruction_value)
        surplus = returns - instruction_value
    return surplus >= torch.quantile(surplus, quantile)
