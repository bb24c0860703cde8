"""Values of candidate actions from a few continuations of the state they lead to.

Where an environment has ``snapshot()`` and ``restore()``, every candidate of a state can be tried: take
it, continue with some policy to the end, and average the discounted returns. Unlike the logged return,
which values one action a state, this gives contrast WITHIN a state, and that is all a selector needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from agentq.types import FloatArray


class Restorable(Protocol):
    """An environment whose state can be stored and taken up again."""

    def snapshot(self) -> Any:
        """A small, picklable copy of the state."""
        ...

    def restore(self, snapshot: Any) -> Any:
        """Take up a stored state."""
        ...

    def step(self, action: str) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """As in Gymnasium."""
        ...


#: Chooses the next action in the environment's current state; the number seeds its randomness.
Continue = Callable[[Any, int], str]


@dataclass(frozen=True, slots=True)
class ContinuationSettings:
    """How candidates are labelled."""

    count: int = 1  # continuations per candidate
    gamma: float = 0.95  # per step
    max_steps: int = 30  # of one continuation, beyond the environment's own limit


def continuation_returns(
    env: Restorable,
    actions: Sequence[str],
    continue_with: Continue,
    seed: int,
    settings: ContinuationSettings | None = None,
) -> FloatArray:
    """Mean discounted return of each action in the environment's present state.

    Returns a float64 array (len(actions),). The environment is left in the state it was in.
    """
    settings = settings or ContinuationSettings()
    start = env.snapshot()
    returns = np.zeros((len(actions), settings.count))
    for i, action in enumerate(actions):
        for j in range(settings.count):
            returns[i, j] = _one_return(env, start, action, continue_with, seed + j, settings)
    env.restore(start)
    return returns.mean(axis=1)


def _one_return(
    env: Restorable,
    start: Any,
    action: str,
    continue_with: Continue,
    seed: int,
    settings: ContinuationSettings,
) -> float:
    env.restore(start)
    total, weight = 0.0, 1.0
    for step in range(settings.max_steps):
        _, reward, terminated, truncated, _ = env.step(action)
        total += weight * float(reward)
        weight *= settings.gamma
        if terminated or truncated:
            break
        action = continue_with(env, seed * settings.max_steps + step)
    return total
