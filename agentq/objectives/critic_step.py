"""One optimiser step of a twin Q/V critic over several micro-batches, with its target network.

"Digi-Q" (arXiv 2502.15760), TD learning of the critic. The order is: for each micro-batch compute targets,
loss and gradients; clip; one Adam step; one Polyak step of the target. Two things differ from the released
loop, which ``StepSettings.digi_q`` reproduces:

* it clips after every micro-batch on the partly accumulated gradient, which squashes all of them but the
last.
  Here the whole gradient is clipped once and micro-batches weigh by their rows, so that 4 x 32 and 1 x 128
  are the same step;
* it fits V to a slow copy of Q. Here V is fitted to the current Q (see ``agentq.objectives.td``): the only
slow
  copy is that of V, which saves a third of the arithmetic and the memory of a second Q.

Each network is asked only for what the step needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from agentq.errors import TrainingError
from agentq.objectives.pointwise import Metric
from agentq.objectives.polyak import polyak_update
from agentq.objectives.td import Bootstrap, CriticLosses, td_loss


class QVNetwork(Protocol):
    """A module with independent heads on precomputed features."""

    def q(self, state_action: Tensor) -> Tensor:
        """(B, D_q) -> (K_q, B)."""
        ...

    def v(self, state: Tensor) -> Tensor:
        """(B, D_v) -> (K_v, B)."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """What the optimiser updates."""
        ...


@dataclass(frozen=True, slots=True)
class TransitionBatch:
    """B logged transitions as features; ``backup`` is (s, a_backup) when that is not the logged action."""

    state: Tensor  # (B, D_v)
    state_action: Tensor  # (B, D_q)
    next_state: Tensor  # (B, D_v)
    reward: Tensor  # (B,)
    terminated: Tensor  # (B,)
    backup: Tensor | None = None  # (B, D_q)

    def __len__(self) -> int:
        return int(self.reward.shape[0])


@dataclass(frozen=True, slots=True)
class StepSettings:
    """How one step is made."""

    gamma: float = 0.95
    tau: float = 0.1
    max_grad_norm: float = 1.0
    clip: Literal["once", "each"] = "once"
    bootstrap: Bootstrap = "min"
    v_target: Literal["online", "target"] = "online"  # whose Q the V heads are fitted to
    metric: Metric = "regression"

    @classmethod
    def digi_q(cls, *, gamma: float = 0.95, tau: float = 0.1, max_grad_norm: float = 0.01) -> StepSettings:
        """The released loop: clip each micro-batch, head i bootstraps from head i, V is fitted to Q'."""
        return cls(gamma, tau, max_grad_norm, clip="each", bootstrap="own", v_target="target")


@dataclass(frozen=True, slots=True)
class StepReport:
    """What the step saw, M micro-batches; detached."""

    q_losses: Tensor  # (M, K_q)
    v_losses: Tensor  # (M, K_v)
    grad_norm: Tensor  # scalar, before the last clipping


def critic_step(
    online: QVNetwork,
    target: QVNetwork,
    optimizer: torch.optim.Optimizer,
    micro_batches: Sequence[TransitionBatch],
    settings: StepSettings,
) -> StepReport:
    """Update ``online`` and ``target`` in place; the target may consist of the V heads only.

    Raises ``TrainingError`` on no rows or gradients that are not finite.
    Gradients are empty before and after, so that nothing leaks between steps. The optimiser step is skipped
    by the error when the gradient is not finite: both networks then are as before.
    """
    rows = sum(len(batch) for batch in micro_batches)
    if rows == 0:
        raise TrainingError("a critic step got no transitions; expected at least one non-empty micro-batch.")
    optimizer.zero_grad(set_to_none=True)
    q_losses: list[Tensor] = []
    v_losses: list[Tensor] = []
    norm = torch.zeros(())
    parameters = [p for p in online.parameters() if p.requires_grad]
    for batch in micro_batches:
        losses = batch_losses(online, target, batch, settings)
        share = 1 / len(micro_batches) if settings.clip == "each" else len(batch) / rows
        (losses.total * share).backward()  # pyright: ignore[reportUnknownMemberType]
        q_losses.append(losses.q.detach())
        v_losses.append(losses.v.detach())
        if settings.clip == "each":
            norm = nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
    if settings.clip == "once":
        norm = nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
    if not bool(torch.isfinite(norm)):
        optimizer.zero_grad(set_to_none=True)
        raise TrainingError(
            f"the gradient norm of the critic is {float(norm)}, expected a finite number; check the features "
            "and rewards of this batch (agentq.objectives.checks.check_finite), or lower the learning rate."
        )
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    polyak_update(_module(target), _module(online), settings.tau)
    return StepReport(torch.stack(q_losses), torch.stack(v_losses), norm.detach())


def batch_losses(
    online: QVNetwork, target: QVNetwork, batch: TransitionBatch, settings: StepSettings
) -> CriticLosses:
    """Digi-Q's TD losses of one micro-batch."""
    q, v = online.q(batch.state_action), online.v(batch.state)
    with torch.no_grad():
        backup_q = _backup_q(q, online, target, batch, settings)
        target_next_v = target.v(batch.next_state)
    return td_loss(
        q,
        v,
        backup_q,
        target_next_v,
        batch.reward,
        batch.terminated,
        gamma=settings.gamma,
        metric=settings.metric,
        bootstrap=settings.bootstrap,
    )


def _backup_q(
    q: Tensor, online: QVNetwork, target: QVNetwork, batch: TransitionBatch, settings: StepSettings
) -> Tensor:
    """Q at (s, a_backup) that V is fitted to; the online values of the logged action are already there."""
    if settings.v_target == "target":
        return target.q(batch.state_action if batch.backup is None else batch.backup)
    return q.detach() if batch.backup is None else online.q(batch.backup)


def _module(network: QVNetwork) -> nn.Module:
    if not isinstance(network, nn.Module):
        raise TrainingError(
            f"the network is a {type(network).__name__}, expected a torch.nn.Module with q and v."
        )
    return network
