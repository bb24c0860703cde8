"""Logged episodes of players of mixed quality, for policies to imitate and critics to learn from."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from agentq.types import Message
from agentq_envs.alfworld.env import AlfworldEnv
from agentq_envs.alfworld.lookahead import GAMMA
from agentq_envs.alfworld.prompt import react_transcript
from agentq_envs.alfworld.searcher import CAREFUL, Habits, Searcher, draw_habits


@dataclass(frozen=True, slots=True)
class DemonstrationStep:
    """One logged step. ``values`` holds other actions of the state, the one taken first, with exact values."""

    messages: tuple[Message, ...]
    action: str
    draws: tuple[str, ...]  # the action, and what the same player might have done as well
    values: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Demonstration:
    """One logged episode; ``transcript`` is its ReAct form."""

    task: str
    success: bool
    steps: tuple[DemonstrationStep, ...]
    transcript: str


@dataclass(frozen=True, slots=True)
class DemonstrationSettings:
    """What a demonstration holds beside the actions taken."""

    draws: int = 1  # of the same player per state
    values: int = 0  # distinct actions valued per state, the one taken among them
    gamma: float = GAMMA  # discount of values per step
    habits: Habits | None = None  # None: drawn from the population


def play(
    env: AlfworldEnv, task: str, seed: int, settings: DemonstrationSettings | None = None
) -> Demonstration:
    """One episode of a player whose habits are drawn from ``seed``."""
    settings = settings or DemonstrationSettings()
    rng = random.Random(f"player {task} {seed}")
    _, info = env.reset(seed=seed, options={"task": task})
    player = Searcher(settings.habits or draw_habits(rng), rng, rng.getrandbits(30))
    steps: list[DemonstrationStep] = []
    ended = False
    while not ended:
        action = player.act(env.notes, env.admissible)
        draws = (action, *(player.act(env.notes, env.admissible) for _ in range(settings.draws - 1)))
        values = _valued(env, action, player, settings)
        steps.append(DemonstrationStep(tuple(info["messages"]), action, draws, values))
        _, _, terminated, truncated, info = env.step(action)
        ended = terminated or truncated
    transcript = react_transcript(env.observations, env.actions)
    return Demonstration(task, bool(info["success"]), tuple(steps), transcript)


def play_all(
    env: AlfworldEnv, tasks: Sequence[str], seed: int, settings: DemonstrationSettings | None = None
) -> Iterator[Demonstration]:
    """One episode per task, in order."""
    for task in tasks:
        yield play(env, task, seed, settings)


def react_examples(env: AlfworldEnv, tasks: Sequence[str], task_type: str, count: int = 2) -> list[str]:
    """Transcripts of careful players who solved the first tasks of that type, for ``react_prompt``."""
    found: list[str] = []
    for task in tasks:
        if len(found) == count:
            break
        if f"/{task_type}-" in task:
            shown = play(env, task, 0, DemonstrationSettings(habits=CAREFUL))
            found += [shown.transcript] if shown.success else []
    return found


def _valued(
    env: AlfworldEnv, taken: str, player: Searcher, settings: DemonstrationSettings
) -> tuple[tuple[str, float], ...]:
    """The action taken and those of other players and of chance, each with its exact value."""
    if not settings.values:
        return ()
    found = dict.fromkeys([taken])
    for _ in range(3 * settings.values):
        if len(found) >= settings.values:
            break
        other = Searcher(draw_habits(player.rng), player.rng, player.rng.getrandbits(30))
        found.setdefault(other.act(env.notes, env.admissible))
    return tuple(zip(found, env.lookahead(list(found), settings.gamma), strict=True))
