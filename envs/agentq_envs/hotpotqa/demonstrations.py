"""Logged episodes of readers of mixed quality, with what is needed to learn from them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Contrast:
    """Which states and actions sessions hold more of than readers would leave by themselves."""

    both_answers: bool = (
        False  # the two answers that a comparison has are among the alternatives of its every state
    )
    unanswered: float = 1.0  # share of the states kept in which the reader goes on reading
    guesses: int = 0  # answers picked from what was read, right or not, among the alternatives of every state

    def keeps(self, action: str, rng: random.Random) -> bool:
        """Whether a state with this next action is kept."""
        return self.unanswered >= 1 or action.startswith("finish[") or rng.random() < self.unanswered


NONE = Contrast()


def play(
    env: HotPotQAEnv,
    task: str,
    seed: int,
    settings: DemonstrationSettings | None = None,
    contrast: Contrast = NONE,
) -> Demonstration:
    """One episode of a reader whose habits are drawn from ``seed``."""
    settings = settings or DemonstrationSettings()
    rng = random.Random(f"reader {task} {seed}")
    _, info = env.reset(seed=seed, options={"task": task})
    expert = Expert(env.question, env.corpus)
    reader = Reader(expert, draw_habits(rng), rng)
    answers = [f"finish[{answer}]" for answer in reader.closed_answers] if contrast.both_answers else []
    steps: list[DemonstrationStep] = []
    score = 0.0
    while not env.session.ended and len(env.actions) != settings.most_steps:
        action = reader.act(env.session)
        if rng.random() < settings.keep and contrast.keeps(action, rng):
            draws = (action, *(reader.act(env.session) for _ in range(settings.draws - 1)))
            others = _alternatives(
                env, reader, [action, *answers, *_guesses(env, reader, contrast.guesses)], settings
            )
            messages: Sequence[Message] = info["messages"]
            steps.append(DemonstrationStep(tuple(messages), action, draws, others))
        _, reward, _, _, info = env.step(action)
        score += reward
    return Demonstration(task, score, bool(info["success"]), tuple(steps))


def play_all(
    env: HotPotQAEnv,
    tasks: Sequence[str],
    seed: int,
    settings: DemonstrationSettings | None = None,
    contrast: Contrast = NONE,
) -> Iterator[Demonstration]:
    """One episode per task, in order."""
    for task in tasks:
        yield play(env, task, seed, settings, contrast)


def _guesses(env: HotPotQAEnv, reader: Reader, count: int) -> list[str]:
    """At most ``count`` distinct answers picked from what was read."""
    found = reader.guesses(env.session) if count else []
    return [f"finish[{answer}]" for answer in reader.rng.sample(found, min(count, len(found)))]


def _alternatives(
    env: HotPotQAEnv, reader: Reader, first: Sequence[str], settings: DemonstrationSettings
) -> tuple[Alternative, ...]:
    """The action taken, first of ``first``, and those of other readers, each with what follows and its value."""
    found = dict.fromkeys(list(dict.fromkeys(first))[: max(settings.alternatives, 1)])
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
