"""Logged shopping sessions of mixed quality, with what is needed to learn from them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from agentq.types import Message
from agentq_envs.demonstrations import (
    Alternative,
    Demonstration,
    DemonstrationSettings,
    DemonstrationStep,
)
from agentq_envs.webshop.env import WebShopEnv
from agentq_envs.webshop.shoppers import Shopper, draw_habits

BROWSERS = 0.25  # share of the shoppers that look around and hardly ever buy


def play(
    env: WebShopEnv,
    task: str,
    seed: int,
    settings: DemonstrationSettings | None = None,
    browsers: float = BROWSERS,
) -> Demonstration:
    """One session of a shopper whose habits are drawn from ``seed``; a search is always kept."""
    settings = settings or DemonstrationSettings()
    rng = random.Random(f"shopper {task} {seed}")
    _, info = env.reset(seed=seed, options={"task": task})
    shopper = Shopper(env.server, env.goal, draw_habits(rng, browsers), rng)
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
    env: WebShopEnv,
    tasks: Sequence[str],
    seed: int,
    settings: DemonstrationSettings | None = None,
    browsers: float = BROWSERS,
) -> Iterator[Demonstration]:
    """One session per task, in order."""
    for task in tasks:
        yield play(env, task, seed, settings, browsers)


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
