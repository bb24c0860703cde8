"""From logged decisions and new ones to the numbers of an off-policy estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agentq.errors import EvaluationError
from agentq.types import Candidate, Decision, FloatArray
from agentq_eval.offline.off_policy import WeighedEpisode

#: A selector that takes the first usable sample; see ``action_probabilities``.
FIRST = "first"


@dataclass(frozen=True, slots=True)
class DecisionPair:
    """One state: what was decided and executed there, and what the new critic and selector decide."""

    logged: Decision
    new: Decision
    reward: float


@dataclass(frozen=True, slots=True)
class _Weighed:
    behaviour: float
    target: float
    q: float
    value: float
    uncovered: float


def weigh(task: str, pairs: Sequence[DecisionPair], *, exchangeable: bool = False) -> WeighedEpisode:
    """One episode of T pairs. Candidates with the same action are one action, with the sum of their shares.

    A value of -inf (an action that does not parse) counts as 0: the control variate may be anything. With
    ``exchangeable`` the selector ``first`` counts as a draw among the samples. Raises ``EvaluationError`` when
    the pairs do not have the same candidates or a probability is not finite.
    """
    rows = [_weigh(task, number, pair, exchangeable) for number, pair in enumerate(pairs)]

    def column(name: str) -> FloatArray:
        return np.array([getattr(row, name) for row in rows], dtype=np.float64)

    return WeighedEpisode(
        task=task,
        behaviour=column("behaviour"),
        target=column("target"),
        rewards=np.array([pair.reward for pair in pairs], dtype=np.float64),
        q=column("q"),
        values=column("value"),
        uncovered=column("uncovered"),
    )


def executed(candidate: Candidate) -> tuple[bool, str]:
    """What the environment received for a candidate: the parsed action, else the raw text."""
    return candidate.valid, candidate.text if candidate.action is None else candidate.action


def action_probabilities(decision: Decision, *, exchangeable: bool) -> FloatArray:
    """The selector's distribution over the N candidates.

    ``exchangeable``: samples of a policy are independent and equally distributed, so given which samples a
    state has, each is equally likely to have come first. For the selector ``first`` this gives usable
    candidate i the share count_i / sum of counts in place of certainty.
    """
    if not (exchangeable and decision.selector == FIRST):
        return decision.probabilities
    usable = np.array([candidate.valid for candidate in decision.candidates])
    counts = np.array([candidate.count for candidate in decision.candidates], dtype=np.float64) * usable
    return counts / counts.sum()


def _weigh(task: str, number: int, pair: DecisionPair, exchangeable: bool) -> _Weighed:
    logged, new = pair.logged, pair.new
    if logged.candidates != new.candidates:
        raise EvaluationError(f"task {task!r}, step {number}: the new decision is about other candidates.")
    behaviour = action_probabilities(logged, exchangeable=exchangeable)
    target = action_probabilities(new, exchangeable=exchangeable)
    if not (np.isfinite(behaviour).all() and np.isfinite(target).all()):
        raise EvaluationError(f"task {task!r}, step {number}: a probability is not finite.")
    actions = [executed(candidate) for candidate in logged.candidates]
    b: dict[tuple[bool, str], float] = dict.fromkeys(actions, 0.0)
    for action, share in zip(actions, behaviour.tolist(), strict=True):
        b[action] += share
    taken = np.array([action == actions[logged.index] for action in actions])
    q = np.where(np.isfinite(new.q), new.q, 0.0)  # (N,)
    chance = float(target[taken].sum())
    uncovered = sum(p for action, p in zip(actions, target.tolist(), strict=True) if b[action] == 0)
    return _Weighed(
        behaviour=min(b[actions[logged.index]], 1.0),
        target=min(chance, 1.0),
        # sum_a pi(a) Q(a) must be V, so candidates of one action weigh as the new selector weighs them.
        q=float(target[taken] @ q[taken]) / chance if chance > 0 else float(q[taken].mean()),
        value=float(target @ q),
        uncovered=min(uncovered, 1.0),
    )
