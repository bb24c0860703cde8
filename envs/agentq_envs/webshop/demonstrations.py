"""Logged shopping sessions of mixed quality, with what is needed to learn from them.

A step keeps the prompt and the action taken, and on request more draws of the same shopper (to imitate a
distribution rather than one sample) and other actions of the state with their values from a snapshot, so
that imitation, representation tuning and critics can all be trained from one pass over the simulator.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentq.types import Message
from agentq_envs.webshop.env import WebShopEnv
from agentq_envs.webshop.shoppers import Shopper, draw_habits


@dataclass(frozen=True, slots=True)
class Alternative:
    """An action of a state, what follows it, and its value."""

    action: str
    value: float  # discounted return when the rest is played as well as possible, 0..1
    page: str  # kind of the page that follows
    text: str  # prompt of the page that follows
    changed: bool  # whether the action changed anything


@dataclass(frozen=True, slots=True)
class DemonstrationStep:
    """One logged step."""

    messages: tuple[Message, ...]
    action: str  # what the shopper did
    draws: tuple[str, ...]  # the action, and what the same shopper might have done as well
    alternatives: tuple[Alternative, ...]  # distinct actions, the one taken first; empty: none were tried


@dataclass(frozen=True, slots=True)
class Demonstration:
    """One logged session."""

    task: str
    score: float
    success: bool
    steps: tuple[DemonstrationStep, ...]


@dataclass(frozen=True, slots=True)
class DemonstrationSettings:
    """What a demonstration holds beside the actions taken."""

    draws: int = 1  # of the same shopper per state
    alternatives: int = 0  # distinct actions valued per state, the one taken among them
    keep: float = 1.0  # share of the steps that is kept, drawn at random: more different goals
    most_steps: int | None = None  # stop a session after so many; a session of one is a search, always kept
    gamma: float = 0.9  # discount of values per step
    browsers: float = 0.25  # share of the shoppers that look around and hardly ever buy


def play(
    env: WebShopEnv, task: str, seed: int, settings: DemonstrationSettings | None = None
) -> Demonstration:
    """One session of a shopper whose habits are drawn from ``seed``."""
    settings = settings or DemonstrationSettings()
    rng = random.Random(f"shopper {task} {seed}")
    _, info = env.reset(seed=seed, options={"task": task})
    shopper = Shopper(env.server, env.goal, draw_habits(rng, settings.browsers), rng)
    steps: list[DemonstrationStep] = []
    score, success, ended = 0.0, False, False
    while not ended:
        action = shopper.act(env.session, env.actions)
        # Searches are rare and need the most words, so none is dropped.
        if env.session.page == "search" or rng.random() < settings.keep:
            steps.append(_step(env, info["messages"], action, shopper, settings))
        _, reward, terminated, truncated, info = env.step(action)
        score += reward
        success = success or bool(info["success"])
        ended = terminated or truncated or env.steps == settings.most_steps
    return Demonstration(task, score, success, tuple(steps))


def play_all(
    env: WebShopEnv, tasks: Sequence[str], seed: int, settings: DemonstrationSettings | None = None
) -> Iterator[Demonstration]:
    """One session per task, in order."""
    for task in tasks:
        yield play(env, task, seed, settings)


def _step(
    env: WebShopEnv,
    messages: tuple[Message, ...],
    action: str,
    shopper: Shopper,
    settings: DemonstrationSettings,
) -> DemonstrationStep:
    draws = (action, *(shopper.act(env.session, env.actions) for _ in range(settings.draws - 1)))
    alternatives: tuple[Alternative, ...] = ()
    if settings.alternatives:
        actions = _other_actions(env, action, settings.alternatives, shopper.rng)
        alternatives = _tried(env, actions, settings.gamma)
    return DemonstrationStep(tuple(messages), action, draws, alternatives)


def _other_actions(env: WebShopEnv, taken: str, count: int, rng: random.Random) -> list[str]:
    """The action taken and those of other shoppers: what a policy trained on them proposes."""
    found = dict.fromkeys([taken])
    for _ in range(3 * count):
        if len(found) >= count:
            break
        other = Shopper(env.server, env.goal, draw_habits(rng), rng)
        found.setdefault(other.act(env.session, env.actions))
    return list(found)


def _tried(env: WebShopEnv, actions: Sequence[str], gamma: float) -> tuple[Alternative, ...]:
    """Take every action from a snapshot: what follows at once, and its exact value."""
    values = env.lookahead(actions, gamma)
    start = env.snapshot()
    found: list[Alternative] = []
    for action, value in zip(actions, values, strict=True):
        _, _, _, _, info = env.step(action)
        text = str(info["messages"][-1]["content"])
        found.append(Alternative(action, float(value), info["page"], text, info["legal"]))
        env.restore(start)
    return tuple(found)
