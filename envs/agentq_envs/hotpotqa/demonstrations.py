"""Logged episodes of readers of mixed quality, with what is needed to learn from them."""

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
from agentq_envs.hotpotqa.env import HotPotQAEnv
from agentq_envs.hotpotqa.expert import Expert
from agentq_envs.hotpotqa.readers import Reader, draw_habits


def play(
    env: HotPotQAEnv, task: str, seed: int, settings: DemonstrationSettings | None = None
) -> Demonstration:
    """One episode of a reader whose habits are drawn from ``seed``."""
    settings = settings or DemonstrationSettings()
    rng = random.Random(f"reader {task} {seed}")
    _, info = env.reset(seed=seed, options={"task": task})
    expert = Expert(env.question, env.corpus)
    reader = Reader(expert, draw_habits(rng), rng)
    steps: list[DemonstrationStep] = []
    score = 0.0
    while not env.session.ended and len(env.actions) != settings.most_steps:
        action = reader.act(env.session)
        if rng.random() < settings.keep:
            draws = (action, *(reader.act(env.session) for _ in range(settings.draws - 1)))
            others = _alternatives(env, reader, action, settings)
            messages: Sequence[Message] = info["messages"]
            steps.append(DemonstrationStep(tuple(messages), action, draws, others))
        _, reward, _, _, info = env.step(action)
        score += reward
    return Demonstration(task, score, bool(info["success"]), tuple(steps))


def play_all(
    env: HotPotQAEnv, tasks: Sequence[str], seed: int, settings: DemonstrationSettings | None = None
) -> Iterator[Demonstration]:
    """One episode per task, in order."""
    for task in tasks:
        yield play(env, task, seed, settings)


def _alternatives(
    env: HotPotQAEnv, reader: Reader, taken: str, settings: DemonstrationSettings
) -> tuple[Alternative, ...]:
    """The action taken and those of other readers, each with what follows at once and its value."""
    found = dict.fromkeys([taken])
    for _ in range(3 * settings.alternatives):
        if len(found) >= settings.alternatives:
            break
        found.setdefault(Reader(reader.expert, draw_habits(reader.rng), reader.rng).act(env.session))
    actions = list(found) if settings.alternatives else []
    start, values = env.snapshot(), env.lookahead(actions, settings.gamma)
    tried: list[Alternative] = []
    for action, value in zip(actions, values, strict=True):
        _, _, _, _, info = env.step(action)
        text = str(info["messages"][-1]["content"])
        tried.append(Alternative(action, value, info["page"] or "", text, info["legal"]))
        env.restore(start)
    return tuple(tried)
