"""ROVER: values under uniformly random actions, for tokens and for candidate actions of an agent.

"Random Policy Valuation is Enough for LLM Reasoning with Verifiable Rewards" (arXiv 2509.24981). With
deterministic transitions and one reward in {0, R} at the end, acting greedily on the value of the uniform policy

    Q(s, a) = r(s, a) + mean_{a'} Q(s', a')                                            (theorem 3.1)

is optimal. For the tokens of a language model with vocabulary V, sampled by pi_old (section 4):

    q_t    = rho (log pi(y_t | s_t) - log pi_old(y_t | s_t))
    next_t = rho (m(s_{t+1}) - m_old(s_{t+1})),    m(s) = mean_V log softmax(logits(s))
    L      = sum mask (q_t - sg[r_c + beta next_t])^2 / sum mask

with r_c the centred reward of the sequence. For an agent the actions of a state are its candidates, and the mean
is one of several ways to back values up (``back_up``): see docs/rover.md for when each is right.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from agentq.errors import TrainingError
from agentq.objectives.checks import check_rank, check_shapes
from agentq.objectives.pointwise import Metric, head_losses, head_values
from agentq.objectives.td import one_step_target

Centring: TypeAlias = Literal["mean", "mean_std", "shares"]
Backup: TypeAlias = Literal["mean", "max", "softmax", "expected"]
_STD_OFFSET = 1e-6  # of the released code


# ---------------------------------------------------------------- tokens


@dataclass(frozen=True, slots=True)
class TokenStatistics:
    """What the loss needs of a model: two numbers per token instead of a row of logits."""

    log_prob: Tensor  # (B, T) log pi(y_t | s_t), nats
    mean_log_softmax: Tensor  # (B, T) m(s_t)


@dataclass(frozen=True, slots=True)
class RoverLoss:
    """The loss and the values behind it; only ``loss`` carries a gradient that is meant."""

    loss: Tensor  # scalar
    q: Tensor  # (B, T), 0 outside the mask
    next_q: Tensor  # (B, T), before beta
    target: Tensor  # (B, T), detached, 0 outside the mask


def token_statistics(logits: Tensor, tokens: Tensor, temperature: float = 1.0) -> TokenStatistics:
    """Statistics of ``logits`` (B, T, V), whose position t predicts ``tokens`` (B, T).

    ``temperature`` is that of sampling; it divides the logits of the new and of the old model alike.
    """
    check_rank(3, "(B sequences, T tokens, V words)", logits=logits)
    check_shapes(tuple(logits.shape[:2]), tokens=tokens)
    if temperature <= 0:
        raise TrainingError(f"temperature is {temperature}, expected a positive number, that of sampling.")
    log_softmax = (logits / temperature).log_softmax(dim=-1)
    chosen = log_softmax.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    return TokenStatistics(chosen, log_softmax.mean(dim=-1))


def rover_loss(
    new: TokenStatistics,
    old: TokenStatistics,
    mask: Tensor,
    centred_reward: Tensor,
    *,
    rho: float = 1.0,
    beta: float = 1.0,
) -> RoverLoss:
    """The token-level loss of a padded batch.

    ``old`` was stored when the batch was sampled and carries no gradient; ``mask`` (B, T) is 1 on response
    tokens; ``centred_reward`` (B,). At the first step on a batch, when the model is still the one that
    sampled it, the gradient is that of a centred policy gradient. Raises ``TrainingError`` when shapes differ
    or nothing is masked in.
    """
    shape = tuple(new.log_prob.shape)
    check_shapes(
        shape,
        mean_log_softmax=new.mean_log_softmax,
        old_log_prob=old.log_prob,
        old_mean_log_softmax=old.mean_log_softmax,
        mask=mask,
    )
    check_shapes(shape[:1], centred_reward=centred_reward)
    weight = mask.to(new.log_prob.dtype)
    if not bool(weight.any()):
        raise TrainingError("no token of the batch is a response token (the mask is 0 everywhere).")
    q = rho * (new.log_prob - old.log_prob.detach()) * weight
    with torch.no_grad():
        change = rho * (new.mean_log_softmax - old.mean_log_softmax)
        next_q = torch.zeros_like(change)
        next_q[:, :-1] = change[:, 1:] * weight[:, 1:]
        target = (centred_reward.to(q.dtype).unsqueeze(1) + beta * next_q) * weight
    loss = (weight * (q - target).square()).sum() / weight.sum()
    return RoverLoss(loss, q, next_q, target)


def centred_rewards(scores: Tensor, groups: Sequence[Hashable], how: Centring = "mean") -> Tensor:
    """Rewards (B,) of sampled answers relative to their group, the answers to one question.

    mean: minus the group's mean, as in the paper. mean_std: also divided by the group's standard deviation, as
    GRPO and the released mathematics script do. A group of one keeps its score. shares: an estimator of the
    released code that its scripts do not use, over the whole batch: 5 (1 - share right) for an answer with a
    positive score, else -2 (1 - share wrong).
    """
    check_shapes((len(groups),), scores=scores)
    if how == "shares":
        right = scores > 0
        share = right.to(scores.dtype).mean()
        return torch.where(right, 5 * (1 - share), -2 * share)
    if how not in get_args(Centring):
        raise TrainingError(f"centring {how!r} is unknown; expected one of {', '.join(get_args(Centring))}.")
    centred = torch.empty_like(scores)
    for group in dict.fromkeys(groups):
        rows = torch.tensor([i for i, name in enumerate(groups) if name == group], device=scores.device)
        own = scores[rows]
        alone = len(rows) == 1
        middle = torch.zeros_like(own[0]) if alone else own.mean()
        spread = torch.ones_like(middle) if alone else own.std()
        centred[rows] = (own - middle) / (spread + _STD_OFFSET) if how == "mean_std" else own - middle
    return centred


# ---------------------------------------------------------------- candidate actions


def back_up(
    q: Tensor,
    valid: Tensor,
    how: Backup = "mean",
    *,
    temperature: float = 1.0,
    policy: Tensor | None = None,
) -> Tensor:
    """The value of a state from those of its candidates: ``q`` and ``valid`` (..., N) -> (...).

    mean: the value of choosing uniformly (ROVER). max: of choosing the best (Q-learning). softmax: of choosing
    with p ~ exp(q / temperature), between the two. expected: of choosing by ``policy`` (..., N), probabilities
    that are renormalised over the valid candidates. Raises ``TrainingError`` for a state without a valid
    candidate, or without probability on one.
    """
    check_shapes(tuple(q.shape), valid=valid)
    valid = valid.to(torch.bool)
    if not bool(valid.any(dim=-1).all()):
        raise TrainingError(
            "a state has no valid candidate to back up from. Leave it out, or mark it terminated."
        )
    if how == "max":
        return q.masked_fill(~valid, -math.inf).amax(dim=-1)
    if how == "mean":
        weight = valid.to(q.dtype)
    elif how == "softmax":
        if temperature <= 0:
            raise TrainingError(
                f"temperature is {temperature}, expected a positive number; max is the limit 0."
            )
        weight = (q.detach() / temperature).masked_fill(~valid, -math.inf).softmax(dim=-1)
    elif how == "expected":
        if policy is None:
            raise TrainingError("the backup 'expected' needs policy=, the probability of each candidate.")
        check_shapes(tuple(q.shape), policy=policy)
        weight = policy.to(q.dtype).masked_fill(~valid, 0.0)
    else:
        raise TrainingError(f"backup {how!r} is unknown; expected one of {', '.join(get_args(Backup))}.")
    total = weight.sum(dim=-1)
    if not bool((total > 0).all()):
        raise TrainingError("a state's policy has no probability on a valid candidate.")
    return (weight * q.masked_fill(~valid, 0.0)).sum(dim=-1) / total


def candidate_td_loss(
    q: Tensor,
    next_q: Tensor,
    next_valid: Tensor,
    reward: Tensor,
    terminated: Tensor,
    *,
    gamma: float = 1.0,
    backup: Backup = "mean",
    temperature: float = 1.0,
    policy: Tensor | None = None,
    metric: Metric = "regression",
) -> Tensor:
    """TD(0) over logged candidates: (K, B) raw outputs at (h, a) against r + (1 - d) gamma backup -> (K,).

    ``next_q`` (K, B, N) are target outputs for the candidates of the next state, head by head; ``next_valid``
    (B, N) may be all False where ``terminated``. The target does not depend on which candidate was executed
    next, so any log will do that kept all of them. Under ``metric="classification"`` outputs are logits and
    targets are clipped into [0, 1].
    """
    check_rank(3, "(K heads, B rows, N candidates)", next_q=next_q)
    check_shapes(tuple(next_q.shape[:2]), q=q)
    check_shapes(tuple(next_q.shape[1:]), next_valid=next_valid)
    with torch.no_grad():
        values = head_values(next_q, metric)
        # What follows the end is multiplied by 0, so any candidate will do there.
        usable = (next_valid.to(torch.bool) | terminated.to(torch.bool).unsqueeze(-1)).expand_as(values)
        given = None if policy is None else (policy + terminated.unsqueeze(-1)).expand_as(values)
        future = back_up(values, usable, backup, temperature=temperature, policy=given)  # (K, B)
        return_ = one_step_target(reward, terminated, future, gamma)
        target = return_.clamp(0.0, 1.0) if metric == "classification" else return_
    return head_losses(q, target, metric)


def sarsa_loss(
    q: Tensor,
    next_q_taken: Tensor,
    reward: Tensor,
    terminated: Tensor,
    *,
    gamma: float = 1.0,
    metric: Metric = "regression",
) -> Tensor:
    """TD(0) with the action that was executed next, all (K, B) -> (K,).

    Where candidates are executed uniformly at random its mean is that of the mean backup, with more variance
    and without a log of the other candidates.
    """
    taken = next_q_taken.unsqueeze(-1)
    everyone = torch.ones_like(taken[0], dtype=torch.bool)
    return candidate_td_loss(q, taken, everyone, reward, terminated, gamma=gamma, metric=metric)


def posterior_mean(successes: Tensor, rollouts: Tensor) -> Tensor:
    """(s + 1) / (k + 2): Monte-Carlo value of a candidate after k uniform rollouts, any shape.

    A raw share s / k misses a success of probability q with probability (1 - q)^k, and its 0 would forbid a
    good action for ever.
    """
    check_shapes(tuple(successes.shape), rollouts=rollouts)
    if bool((successes > rollouts).any()) or bool((successes < 0).any()):
        raise TrainingError("a candidate has more successes than rollouts, or fewer than 0.")
    return (successes + 1.0) / (rollouts + 2.0)


def largest_temperature(value: float, candidates: int, failure: float) -> float:
    """rho at which softmax over one candidate of that value and n - 1 of value 0 fails with that probability.

    value / ln((n - 1)(1 - d) / d): values of 1/16 need rho near 0.01, and rho 1 is close to uniform choice.
    """
    if candidates < 2 or not 0 < failure < (candidates - 1) / candidates or value <= 0:
        raise TrainingError(
            f"value={value}, candidates={candidates}, failure={failure}: expected a positive value, at least two "
            "candidates, and a failure probability below that of choosing uniformly."
        )
    return value / math.log((candidates - 1) * (1 - failure) / failure)
