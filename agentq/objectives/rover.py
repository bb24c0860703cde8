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
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from agentq.errors import TrainingError
from agentq.objectives.checks import check_rank, check_shapes
from agentq.objectives.pointwise import Metric, head_losses, head_values

Backup: TypeAlias = Literal["mean", "max", "softmax", "expected"]


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


def _moments(scores: Tensor, groups: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Count, mean and standard deviation (n - 1) of the group of each entry, (B,) each."""
    check_shapes(tuple(scores.shape), groups=groups)
    same = (groups[:, None] == groups[None, :]).to(scores)  # (B, B)
    count = same.sum(dim=1)
    mean = same @ scores / count
    squares = same @ (scores - mean) ** 2
    return count, mean, (squares / (count - 1).clamp(min=1)).sqrt()


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


def candidate_backup(
    rewards: Tensor,
    terminated: Tensor,
    next_q: Tensor,
    present: Tensor | None = None,
    *,
    gamma: float = 1.0,
    how: Backup = "mean",
    temperature: float = 1.0,
    policy: Tensor | None = None,
) -> Tensor:
    """r + gamma (1 - terminated) times ``back_up`` over the next state's candidates, (B,).

    ``rewards`` and ``terminated`` (B,); ``next_q`` (B, N), ``present`` (B, N) False where there is no
    candidate. Raises ``TrainingError`` where a state that goes on has none.
    """
    check_shapes((next_q.shape[0],), rewards=rewards, terminated=terminated)
    there = torch.ones_like(next_q, dtype=torch.bool) if present is None else present.to(torch.bool)
    check_shapes(tuple(next_q.shape), present=there)
    ended = terminated.to(torch.bool)
    empty = ~there.any(dim=1) & ~ended
    if bool(empty.any()):
        raise TrainingError(
            f"transition {int(empty.nonzero()[0])} goes on in a state without candidates; mark it as terminated "
            "or log the candidates of its next state."
        )
    # What follows the end is dropped, so any candidate will do there.
    over = ended.unsqueeze(1)
    given = None if policy is None else torch.where(over, torch.ones_like(policy), policy)
    value = back_up(next_q, there | over, how, temperature=temperature, policy=given)
    return rewards + torch.where(ended, torch.zeros_like(value), gamma * value)


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
        backed_up = [
            candidate_backup(
                reward,
                terminated,
                head,
                next_valid,
                gamma=gamma,
                how=backup,
                temperature=temperature,
                policy=policy,
            )
            for head in head_values(next_q, metric)
        ]
        return_ = torch.stack(backed_up)  # (K, B)
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
