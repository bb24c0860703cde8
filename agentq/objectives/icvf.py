"""Intention-conditioned value functions: learning values from observations alone, without actions or rewards.

"Robotic Offline RL from Internet Videos via Value-Function Pre-Training" (V-PTR, arXiv 2309.13041), whose
pre-training loss is that of "Reinforcement Learning from Passive Data via Latent Intentions" (ICVF, arXiv
2304.04782). V(s, g, z) is the value of reaching outcome g while acting for intention z; i runs over two
heads, primes are target copies:

    y_i = r_g + gamma m_g V'_i(s_next, g, z)
    A   = r_z + gamma m_z min_i V'_i(s_next, z, z) - mean_i V'_i(s, z, z)
    L   = sum_i mean_B |tau - 1(A < 0)| (y_i - V_i(s, g, z))^2
"""

from __future__ import annotations

import torch
from torch import Tensor

from agentq.objectives.checks import check_rank, check_shapes


def icvf_loss(
    v: Tensor,
    next_v: Tensor,
    next_v_intent: Tensor,
    v_intent: Tensor,
    reward: Tensor,
    mask: Tensor,
    intent_reward: Tensor,
    intent_mask: Tensor,
    *,
    gamma: float = 0.99,
    expectile: float = 0.9,
    pessimistic: bool = True,
    intention: bool = True,
) -> Tensor:
    """The loss, a scalar summed over heads.

    ``v`` (K, B) = V(s, g, z), the only input with a gradient; from the target network, each (K, B):
    ``next_v`` = V'(s_next, g, z), ``next_v_intent`` = V'(s_next, z, z), ``v_intent`` = V'(s, z, z).
    ``reward`` and ``mask`` (B,) belong to the outcome g, ``intent_reward`` and ``intent_mask`` to the
    intention z; a mask is 0 where the goal is reached. ``pessimistic`` takes the minimum over heads in the
    advantage's bootstrap, otherwise their mean. Without ``intention`` the advantage counts as 0, so that
    every row weighs tau.
    """
    check_rank(2, "(K heads, B rows)", v=v)
    check_shapes(tuple(v.shape), next_v=next_v, next_v_intent=next_v_intent, v_intent=v_intent)
    check_shapes(
        (v.shape[1],), reward=reward, mask=mask, intent_reward=intent_reward, intent_mask=intent_mask
    )
    with torch.no_grad():
        y = reward + gamma * mask * next_v  # (K, B)
        future = next_v_intent.amin(dim=0) if pessimistic else next_v_intent.mean(dim=0)
        advantage = intent_reward + gamma * intent_mask * future - v_intent.mean(dim=0)  # (B,)
        advantage = advantage if intention else torch.zeros_like(advantage)
        weight = torch.where(advantage >= 0, expectile, 1.0 - expectile).to(v.dtype)
    return (weight * (y - v).square()).mean(dim=1).sum()
