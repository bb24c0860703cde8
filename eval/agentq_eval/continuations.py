"""Values of candidates by letting a decider play on from their snapshots, many at a time.

The same idea as ``agentq_envs.continuations``, for deciders that are only fast in batches (a language
model): all continuations of many states run in lockstep.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agentq.agent import decision_seed
from agentq.types import FloatArray
from agentq_eval.running.deciders import Decider, View


@dataclass(frozen=True, slots=True)
class Start:
    """A state and the action that is tried in it."""

    snapshot: Any
    action: str
    seed: int  # of the continuation's decisions


@dataclass
class _Line:
    """One continuation under way."""

    start: Start
    env: Any
    info: dict[str, Any]
    weight: float  # discount of the next reward
    total: float
    steps: int = 1


def continued_returns(
    make_env: Callable[[], Any],
    starts: Sequence[Start],
    decider: Decider,
    gamma: float = 0.95,
    batch_size: int = 256,
) -> FloatArray:
    """(len(starts),) discounted return of taking each start's action and letting ``decider`` go on.

    The first action's reward has weight 1. The same numbers for any ``batch_size``.
    """
    returns = np.zeros(len(starts))
    waiting = list(enumerate(starts))[::-1]
    free = [make_env() for _ in range(min(batch_size, len(starts)))]
    running: dict[int, _Line] = {}
    while waiting or running:
        while waiting and free:
            number, start = waiting.pop()
            _begin(number, start, free, running, returns, gamma)
        if not running:
            continue
        numbers = list(running)
        lines = [running[number] for number in numbers]
        decisions = decider.decide([_view(line) for line in lines])
        for number, line, decision in zip(numbers, lines, decisions, strict=True):
            _, reward, terminated, truncated, line.info = line.env.unwrapped.step(decision.action)
            line.total += line.weight * float(reward)
            line.weight *= gamma
            line.steps += 1
            if terminated or truncated:
                returns[number] = line.total
                free.append(running.pop(number).env)
    return returns


def _begin(
    number: int, start: Start, free: list[Any], running: dict[int, _Line], returns: FloatArray, gamma: float
) -> None:
    env = free.pop()
    env.unwrapped.restore(start.snapshot)
    _, reward, terminated, truncated, info = env.unwrapped.step(start.action)
    if terminated or truncated:
        returns[number] = float(reward)
        free.append(env)
    else:
        running[number] = _Line(start, env, info, gamma, float(reward))


def _view(line: _Line) -> View:
    admissible = line.info.get("admissible_actions")
    return View(
        env=line.env,
        messages=tuple(line.info["messages"]),
        admissible=tuple(admissible) if admissible is not None else None,
        seed=decision_seed("continuation", line.start.seed, line.steps),
    )
