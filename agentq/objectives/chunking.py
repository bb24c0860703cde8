"""Decoupled Q-chunking (DQC): a critic of long action chunks teaches a critic of single actions.

"Decoupled Q-Chunking" (arXiv 2512.10926) and its released code. All outputs are logits, values their sigmoids:

    chunk critic   Q_h(s, a_t..a_{t+h-1}):  BCE to y = clip(R + gamma^H m V(s_{t+H}), 0, 1)
    action critic  Q_1(s, a_t):  optimistic regression on Q_h, weight kappa_d where Q_h >= Q_1, else 1 - kappa_d
    value          V(s):  optimistic regression on agg_k Q_1'(s, a_t), weight kappa_b where it is >= V

The regressions are by "expectile" (weighted BCE: not 0 where both agree, so losses are not comparable with a
squared expectile) or by "quantile" (weighted absolute difference of logits). Values travel h states per pass
over the data instead of one; only logged chunks are ever scored by Q_h, candidates only by Q_1.

Ablations: ``target="n_step"`` fits Q_1 itself to y (no chunk critic), ``"one_step"`` is that with h = 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from agentq.errors import TrainingError
from agentq.objectives.aggregation import Aggregation, aggregate
from agentq.objectives.checks import check_rank, check_shapes
from agentq.objectives.pointwise import head_losses

Regression: TypeAlias = Literal["expectile", "quantile"]
ChunkTarget: TypeAlias = Literal["chunk", "n_step", "one_step"]
_LOWEST = 1e-5  # a probability of 0 or 1 has no logit


@dataclass(frozen=True, slots=True)
class ChunkRows:
    """Windows of logged steps, (B,) each but the last; indices count the rows of the log."""

    next_index: Tensor  # s_{t+H}
    horizon: Tensor  # H, steps inside the window
    reward: Tensor  # R
    mask: Tensor  # m, 1: the value of s_{t+H} counts
    actions: Tensor  # (B, h) rows whose actions make the chunk


@dataclass(frozen=True, slots=True)
class ChunkingSettings:
    """Which critic bootstraps from what; defaults of the released code."""

    target: ChunkTarget = "chunk"
    gamma: float = 0.999
    kappa_d: float = 0.5  # optimism of the distillation, 0.5 to 0.8
    kappa_b: float = 0.9  # optimism of the value, 0.5 to 0.97
    distillation: Regression = "expectile"
    backup: Regression = "quantile"
    aggregation: Aggregation = "mean"

    def __post_init__(self) -> None:
        if self.target not in get_args(ChunkTarget):
            raise TrainingError(
                f"target {self.target!r} is unknown; expected one of {get_args(ChunkTarget)}."
            )


@dataclass(frozen=True, slots=True)
class ChunkingLosses:
    """One loss per head, and one for V."""

    chunk: Tensor  # (K,); (0,) without a chunk critic
    action: Tensor  # (K,)
    value: Tensor  # scalar

    @property
    def total(self) -> Tensor:
        """The quantity that is minimised: mean over heads, sum over networks."""
        chunk = self.chunk.mean() if len(self.chunk) else self.chunk.sum()
        return chunk + self.action.mean() + self.value


def chunk_target(reward: Tensor, mask: Tensor, horizon: Tensor, next_value: Tensor, gamma: float) -> Tensor:
    """clip(R + gamma^H m V, 0, 1), all (B,), detached; ``next_value`` is a probability."""
    check_shapes(tuple(reward.shape), mask=mask, horizon=horizon, next_value=next_value)
    discount = gamma ** horizon.to(next_value.dtype)
    return (reward + discount * mask * next_value).clamp(0.0, 1.0).detach()


def chunk_critic_loss(
    q_logits: Tensor, next_value_logit: Tensor, reward: Tensor, mask: Tensor, horizon: Tensor, gamma: float
) -> Tensor:
    """BCE of the chunk critic (or of an n-step action critic) to its target: (K, B), rest (B,) -> (K,)."""
    target = chunk_target(reward, mask, horizon, next_value_logit.sigmoid(), gamma)
    return head_losses(q_logits, target, "classification")


def distillation_loss(
    action_logits: Tensor,
    chunk_logits: Tensor,
    valid: Tensor,
    kappa: float = 0.5,
    how: Regression = "expectile",
) -> Tensor:
    """Head k of the action critic towards head k of the chunk critic: (K, B), (K, B), ``valid`` (B,) -> (K,)."""
    check_rank(2, "(K heads, B rows)", action_logits=action_logits)
    check_shapes(tuple(action_logits.shape), chunk_logits=chunk_logits)
    return _optimistic(action_logits, chunk_logits.detach().sigmoid(), valid, kappa, how)


def implicit_value_loss(
    value_logit: Tensor,
    target_action_logits: Tensor,
    valid: Tensor,
    kappa: float = 0.9,
    how: Regression = "quantile",
    aggregation: Aggregation = "mean",
) -> Tensor:
    """V (B,) towards the slow action critic's value (K, B) of the logged action -> scalar."""
    check_shapes((target_action_logits.shape[-1],), value_logit=value_logit)
    goal = aggregate(target_action_logits.detach().sigmoid(), aggregation)
    return _optimistic(value_logit, goal, valid, kappa, how)


def chunking_losses(
    action_logits: Tensor,
    value_logit: Tensor,
    target_action_logits: Tensor,
    next_value_logit: Tensor,
    reward: Tensor,
    mask: Tensor,
    horizon: Tensor,
    valid: Tensor,
    settings: ChunkingSettings,
    chunk_logits: Tensor | None = None,
) -> ChunkingLosses:
    """All losses of one batch: logits of heads (K, B), everything else (B,).

    ``chunk_logits`` are those of the chunk critic, needed by ``target="chunk"`` alone; ``next_value_logit`` is
    V at s_{t+H}, without a slow copy. Raises ``TrainingError`` for a missing or unneeded chunk critic, and for
    windows longer than one step under "one_step".
    """
    if (chunk_logits is not None) != (settings.target == "chunk"):
        raise TrainingError(f"target={settings.target!r} takes chunk_logits if and only if it is 'chunk'.")
    if settings.target == "one_step" and bool((horizon > 1).any()):
        raise TrainingError("target='one_step' was given windows of several steps; cut them with horizon 1.")
    value = implicit_value_loss(
        value_logit, target_action_logits, valid, settings.kappa_b, settings.backup, settings.aggregation
    )
    fitted = action_logits if chunk_logits is None else chunk_logits
    bootstrapped = chunk_critic_loss(fitted, next_value_logit, reward, mask, horizon, settings.gamma)
    if chunk_logits is None:
        return ChunkingLosses(bootstrapped[:0], bootstrapped, value)
    action = distillation_loss(action_logits, chunk_logits, valid, settings.kappa_d, settings.distillation)
    return ChunkingLosses(bootstrapped, action, value)


def chunk_starts(last: Tensor, horizon: int) -> Tensor:
    """Rows that have ``horizon`` more steps in their episode; ``last`` (T,) is 1 on the last row of each.

    The released sampler takes every shortened window for a success, so a window cut by the end of an episode
    would be rewarded without reaching its goal: such starts are left out.
    """
    if horizon < 1:
        raise TrainingError(f"horizon is {horizon}, expected at least 1 step.")
    rows = torch.arange(len(last), device=last.device)
    return rows[rows + horizon <= episode_ends(last)]


def episode_ends(last: Tensor) -> Tensor:
    """The last row of each row's episode, (T,) -> (T,) integers. Raises ``TrainingError`` for an open end."""
    ends = last.to(torch.bool).nonzero().flatten()
    if not len(ends) or int(ends[-1]) != len(last) - 1:
        raise TrainingError("the last row of the log does not end an episode. Cut the open episode off.")
    return ends[torch.searchsorted(ends, torch.arange(len(last), device=last.device))]


def goal_chunks(last: Tensor, start: Tensor, goal: Tensor, horizon: int, gamma: float) -> ChunkRows:
    """Windows of goal-conditioned data: R = gamma^H and m = 0 where the goal row lies inside, else 0 and 1.

    ``last`` (T,); ``start`` and ``goal`` (B,) rows. Inside means fewer than ``horizon`` steps ahead. Raises
    ``TrainingError`` for a start that ``chunk_starts`` leaves out.
    """
    _check_starts(last, start, horizon)
    ahead = goal - start
    reached = (ahead >= 0) & (ahead < horizon)
    steps = torch.where(reached, ahead, torch.full_like(ahead, horizon))
    reward = torch.where(reached, gamma ** steps.to(torch.float64), 0.0)
    return ChunkRows(start + steps, steps, reward, (~reached).to(torch.float64), _window(start, horizon))


def reward_chunks(
    rewards: Tensor, terminated: Tensor, last: Tensor, start: Tensor, horizon: int, gamma: float
) -> ChunkRows:
    """Windows with ordinary rewards: R = sum_{k<H} gamma^k r_{t+k}, m = 0 where the episode terminates inside.

    H is cut at the last step of the episode; ``next_index`` is then that row itself, which only counts where
    the episode was truncated (and then needs the value of the observation after it). ``rewards``,
    ``terminated``, ``last`` (T,), ``start`` (B,).
    """
    check_shapes(tuple(last.shape), rewards=rewards, terminated=terminated)
    ends = episode_ends(last)[start]
    steps = torch.minimum(torch.full_like(start, horizon), ends - start + 1)
    rows = _window(start, horizon)
    inside = torch.arange(horizon, device=start.device) < steps.unsqueeze(1)
    discount = gamma ** torch.arange(horizon, device=start.device, dtype=rewards.dtype)
    reward = (rewards[rows.clamp(max=len(last) - 1)] * discount * inside).sum(dim=1)
    final = start + steps - 1
    over = (final == ends) & terminated[ends].to(torch.bool)
    following = torch.minimum(start + steps, ends)
    return ChunkRows(
        following, steps, reward, (~over).to(rewards.dtype), torch.minimum(rows, ends.unsqueeze(1))
    )


def _optimistic(logit: Tensor, goal: Tensor, valid: Tensor, kappa: float, how: Regression) -> Tensor:
    """mean_B valid w l(logit, goal): (..., B) against probabilities of the same shape -> (...)."""
    check_shapes(tuple(logit.shape), goal=goal)
    check_shapes((logit.shape[-1],), valid=valid)
    weight = _weight(logit, goal, kappa)
    if how == "expectile":
        loss = F.binary_cross_entropy_with_logits(logit, goal, reduction="none")
    elif how == "quantile":
        loss = (logit - goal.clamp(_LOWEST, 1.0 - _LOWEST).logit()).abs()
    else:
        raise TrainingError(f"regression {how!r} is unknown; expected 'expectile' or 'quantile'.")
    return (weight * loss * valid.to(loss.dtype)).mean(dim=-1)


def _weight(logit: Tensor, goal: Tensor, kappa: float) -> Tensor:
    """kappa where the goal is at least the prediction, else 1 - kappa; detached."""
    if not 0.0 < kappa < 1.0:
        raise TrainingError(f"kappa is {kappa}, expected a number between 0 and 1 (0.5 to 0.97 is usual).")
    above = (goal >= logit.detach().sigmoid()).to(logit.dtype)
    return kappa * above + (1.0 - kappa) * (1.0 - above)


def _check_starts(last: Tensor, start: Tensor, horizon: int) -> None:
    short = start[start + horizon > episode_ends(last)[start]]
    if len(short):
        raise TrainingError(
            f"row {int(short[0])} has fewer than {horizon} steps left in its episode, so a window from it would be "
            "cut. Draw starts from chunk_starts()."
        )


def _window(start: Tensor, horizon: int) -> Tensor:
    return start.unsqueeze(1) + torch.arange(horizon, device=start.device)
