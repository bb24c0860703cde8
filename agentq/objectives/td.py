"""Digi-Q: temporal-difference learning of Q and V heads from logged steps.

"Digi-Q: Learning (VLM) Q-Value Functions for Training Device-Control Agents" (arXiv 2502.15760), section
on TD learning:

    L = sum_i mean_B (Q_i(s, a) - y_Q)^2 + sum_i mean_B (V_i(s) - y_V)^2
    y_Q = r + gamma (1 - d) V'(s_next)        y_V = Q'(s, a_backup)

V spares sampling a next action in the Q target and is the baseline of the advantage. Primes are the slow
target copies. The released code lets head i bootstrap from head i of the target
(``bootstrap="own"``, also ``compat="digi_q"``); the default takes the minimum over the target's heads, so
that one head's overestimate does not feed itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from agentq.errors import TrainingError
from agentq.objectives.checks import check_rank, check_shapes
from agentq.objectives.pointwise import Metric, head_losses, head_values

Bootstrap: TypeAlias = Literal["min", "own"]
Compat: TypeAlias = Literal["digi_q"]


@dataclass(frozen=True, slots=True)
class CriticLosses:
    """One loss per head of Q and of V."""

    q: Tensor  # (K_q,)
    v: Tensor  # (K_v,)

    @property
    def total(self) -> Tensor:
        """Sum over all heads, the quantity that is minimised; a scalar."""
        return self.q.sum() + self.v.sum()


def one_step_target(reward: Tensor, terminated: Tensor, next_value: Tensor, gamma: float) -> Tensor:
    """r + gamma (1 - d) V'(s_next): (B,), (B,), (..., B) -> (..., B).

    ``terminated`` must not include truncated episodes: those still have a future.
    """
    check_shapes((reward.shape[0],), reward=reward, terminated=terminated)
    if next_value.shape[-1] != reward.shape[0]:
        raise TrainingError(
            f"next values have shape {tuple(next_value.shape)}, expected the last dimension to be the "
            f"{reward.shape[0]} rows of the batch."
        )
    return reward + gamma * (1.0 - terminated.to(next_value.dtype)) * next_value


def td_targets(
    target_q: Tensor,
    target_next_v: Tensor,
    reward: Tensor,
    terminated: Tensor,
    gamma: float,
    bootstrap: Bootstrap = "min",
) -> tuple[Tensor, Tensor]:
    """(y_Q, y_V), detached: each (B,) for ``bootstrap="min"``, (K, B) for ``"own"``.

    ``target_q`` (K_q, B) at (s, a_backup) and ``target_next_v`` (K_v, B) are values of the target network.
    """
    check_rank(2, "(K heads, B rows)", target_q=target_q, target_next_v=target_next_v)
    with torch.no_grad():
        if bootstrap == "min":
            next_v, y_v = target_next_v.amin(dim=0), target_q.amin(dim=0)
        elif bootstrap == "own":
            check_shapes(tuple(target_q.shape), target_next_v=target_next_v)
            next_v, y_v = target_next_v, target_q
        else:
            raise TrainingError(f"bootstrap {bootstrap!r} is unknown; expected 'min' or 'own'.")
        return one_step_target(reward, terminated, next_v, gamma), y_v.detach()


def td_loss(
    q: Tensor,
    v: Tensor,
    target_q: Tensor,
    target_next_v: Tensor,
    reward: Tensor,
    terminated: Tensor,
    *,
    gamma: float,
    metric: Metric = "regression",
    bootstrap: Bootstrap = "min",
    compat: Compat | None = None,
) -> CriticLosses:
    """Digi-Q's losses from raw head outputs.

    ``q`` (K_q, B) at (s, a); ``v`` (K_v, B) at s; ``target_q`` (K_q, B) at (s, a_backup) and
    ``target_next_v`` (K_v, B) from the target network; ``reward``, ``terminated`` (B,). Under
    ``metric="classification"`` all outputs are logits, values are their sigmoids, and targets are clipped
    into [0, 1]. ``compat="digi_q"`` means ``bootstrap="own"``. Raises ``TrainingError`` when shapes differ.
    """
    check_shapes(tuple(q.shape), target_q=target_q)
    check_shapes(tuple(v.shape), target_next_v=target_next_v)
    y_q, y_v = td_targets(
        head_values(target_q, metric),
        head_values(target_next_v, metric),
        reward,
        terminated,
        gamma,
        "own" if compat == "digi_q" else bootstrap,
    )
    if metric == "classification":
        y_q, y_v = y_q.clamp(0.0, 1.0), y_v.clamp(0.0, 1.0)
    return CriticLosses(q=head_losses(q, y_q, metric), v=head_losses(v, y_v, metric))
