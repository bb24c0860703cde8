"""Implicit Q-learning: expectile regression of V and advantage-weighted policy extraction.

"Offline Reinforcement Learning with Implicit Q-Learning" (arXiv 2110.06169), equations 5 (V), 6 (Q), 7
(policy). Only logged actions are ever valued:

    L_V = mean |tau - 1(q < v)| (q - v)^2,  q = min_k Q'_k(s, a)
    L_Q = mean (Q_k(s, a) - r - gamma (1 - d) V(s_next))^2
    w   = min(exp(beta (q - v)), w_max),    L_pi = -mean w log pi(a | s)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from agentq.errors import TrainingError
from agentq.objectives.checks import check_rank, check_shapes
from agentq.objectives.pointwise import Metric, head_losses, head_values
from agentq.objectives.td import CriticLosses, one_step_target


def expectile_weight(difference: Tensor, expectile: float) -> Tensor:
    """|tau - 1(difference <= 0)|, any shape, detached. Raises ``TrainingError`` unless 0 < tau < 1."""
    if not 0.0 < expectile < 1.0:
        raise TrainingError(
            f"expectile is {expectile}, expected a number between 0 and 1 (0.7 to 0.9 is usual)."
        )
    above = (difference > 0).to(difference.dtype).detach()
    return expectile * above + (1.0 - expectile) * (1.0 - above)


def expectile_loss(q: Tensor, v: Tensor, expectile: float = 0.8) -> Tensor:
    """mean_B w (q - v)^2: targets ``q`` (B,), predictions ``v`` (B,) or (K, B) -> scalar or (K,)."""
    check_shapes((v.shape[-1],), q=q)
    difference = q.detach() - v
    return (expectile_weight(difference, expectile) * difference.square()).mean(dim=-1)


def iql_loss(
    q: Tensor,
    v: Tensor,
    target_q: Tensor,
    next_v: Tensor,
    reward: Tensor,
    terminated: Tensor,
    *,
    gamma: float,
    expectile: float = 0.8,
    metric: Metric = "regression",
) -> CriticLosses:
    """Losses of all heads from raw outputs.

    ``q`` (K_q, B) at (s, a); ``v`` (K_v, B) at s; ``target_q`` (K_q, B) at (s, a) from the target network;
    ``next_v`` (K_v, B) at the next state (online or target, no gradient), combined by their minimum. Under
    ``metric="classification"`` outputs are logits: Q is fitted by cross entropy and the expectile is taken
    between probabilities. Raises ``TrainingError`` when shapes differ.
    """
    check_rank(2, "(K heads, B rows)", q=q, v=v)
    check_shapes(tuple(q.shape), target_q=target_q)
    check_shapes(tuple(v.shape), next_v=next_v)
    with torch.no_grad():
        best_known = head_values(target_q, metric).amin(dim=0)  # (B,)
        future = head_values(next_v, metric).amin(dim=0)  # (B,)
        y = one_step_target(reward, terminated, future, gamma)
        y = y.clamp(0.0, 1.0) if metric == "classification" else y
    return CriticLosses(
        q=head_losses(q, y, metric),
        v=expectile_loss(best_known, head_values(v, metric), expectile),
    )


def awr_weights(q: Tensor, v: Tensor, temperature: float = 3.0, maximum: float = 100.0) -> Tensor:
    """min(exp(beta (q - v)), maximum), shape of ``q``, detached and never infinite."""
    check_shapes(tuple(q.shape), v=v)
    # Clipping the exponent, not the result: exp would overflow to inf first.
    return (temperature * (q - v)).detach().clamp(max=math.log(maximum)).exp()


def awr_policy_loss(log_prob: Tensor, weight: Tensor) -> Tensor:
    """-mean_B w log pi(a | s): (B,), (B,) -> scalar."""
    check_shapes(tuple(log_prob.shape), weight=weight)
    return -(weight.detach() * log_prob).mean()
