"""ROVER: centred rewards of a group of samples, and values of choosing uniformly among candidates.

"Random Policy Valuation is Enough for LLM Reasoning with Verifiable Rewards" (arXiv 2509.24981). Section 4 centres
the score of a sample by its group. Equation 5 values an action by the mean over the next state's actions:

    Q_u(s, a) = r + mean_a' Q_u(s', a')

With a fixed finite set of candidates per state, deterministic transitions, no reward on the way and a final
reward of 0 or R, the action of highest Q_u never leaves the states from which R is reachable. Graded rewards,
random environments and freshly sampled candidates break this; ``max`` is the value of choosing the best.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from agentq.errors import TrainingError
from agentq.objectives.checks import check_shapes

Backup: TypeAlias = Literal["mean", "max"]


def centred_rewards(scores: Tensor, groups: Tensor) -> Tensor:
    """Score minus the mean of its group, (B,); a group of one keeps its raw score.

    ``groups`` (B,) are integers, equal for samples of one prompt.
    """
    count, mean, _ = _moments(scores, groups)
    return torch.where(count > 1, scores - mean, scores)


def standardised_rewards(scores: Tensor, groups: Tensor, epsilon: float = 1e-6) -> Tensor:
    """``centred_rewards`` divided by the group's standard deviation (n - 1) plus epsilon, (B,); as GRPO.

    A group of one keeps its raw score but for epsilon.
    """
    count, _, deviation = _moments(scores, groups)
    unit = torch.where(count > 1, deviation, torch.ones_like(deviation))
    return centred_rewards(scores, groups) / (unit + epsilon)


def balanced_rewards(scores: Tensor, gain: float = 5.0, loss: float = 2.0) -> Tensor:
    """gain (1 - share right) for scores above 0, -loss (1 - share wrong) for others, (B,), over the batch.

    An estimator of the reference implementation that its own scripts do not use.
    """
    right = scores > 0
    share = right.to(scores.dtype).mean()
    return torch.where(right, gain * (1 - share), -loss * share)


def candidate_backup(
    rewards: Tensor,
    terminated: Tensor,
    next_q: Tensor,
    present: Tensor | None = None,
    *,
    gamma: float = 1.0,
    how: Backup = "mean",
) -> Tensor:
    """r + gamma (1 - terminated) times the mean or max over the next state's candidates, (B,).

    ``rewards`` and ``terminated`` (B,); ``next_q`` (B, N), ``present`` (B, N) False where there is no
    candidate. Raises ``TrainingError`` where a state that goes on has none.
    """
    check_shapes((next_q.shape[0],), rewards=rewards, terminated=terminated)
    if how not in get_args(Backup):
        raise TrainingError(f"backup {how!r} is unknown; expected one of {', '.join(get_args(Backup))}.")
    there = torch.ones_like(next_q, dtype=torch.bool) if present is None else present.to(torch.bool)
    check_shapes(tuple(next_q.shape), present=there)
    ended = terminated.to(torch.bool)
    empty = ~there.any(dim=1) & ~ended
    if bool(empty.any()):
        raise TrainingError(
            f"transition {int(empty.nonzero()[0])} goes on in a state without candidates; mark it as terminated "
            "or log the candidates of its next state."
        )
    if how == "max":
        value = next_q.masked_fill(~there, -torch.inf).amax(dim=1)
    else:
        value = next_q.masked_fill(~there, 0.0).sum(dim=1) / there.sum(dim=1)
    return rewards + torch.where(ended, torch.zeros_like(value), gamma * value)


def _moments(scores: Tensor, groups: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Count, mean and standard deviation (n - 1) of the group of each entry, (B,) each."""
    check_shapes(tuple(scores.shape), groups=groups)
    same = (groups[:, None] == groups[None, :]).to(scores)  # (B, B)
    count = same.sum(dim=1)
    mean = same @ scores / count
    squares = same @ (scores - mean) ** 2
    return count, mean, (squares / (count - 1).clamp(min=1)).sqrt()
