"""Logged episodes of players of mixed quality, for policies to imitate and critics to learn from."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agentq_envs.alfworld.env import AlfworldEnv
from agentq_envs.alfworld.prompt import react_transcript
from agentq_envs.alfworld.searcher import CAREFUL, POPULATION, Habits, Searcher, draw_habits
from agentq_envs.continuations import ContinuationSettings, continuation_returns
from agentq_envs.demonstrations import (
    Alternative,
    Demonstration,
    DemonstrationSettings,
    DemonstrationStep,
)

_LONGEST = 200  # steps of a continuation, where the environment has no limit
_DONE = 3  # commands that a player remembers, as many as the compact prompt shows


@dataclass(frozen=True, slots=True)
class HouseholdDemonstration(Demonstration):
    """One logged episode; ``transcript`` is its ReAct form."""

    transcript: str


def play(
    env: AlfworldEnv,
    task: str,
    seed: int,
    settings: DemonstrationSettings | None = None,
    population: Sequence[tuple[Habits, float]] = POPULATION,
) -> HouseholdDemonstration:
    """One episode of a player whose habits are drawn from ``seed``."""
    settings = settings or DemonstrationSettings()
    rng = random.Random(f"player {task} {seed}")
    _, info = env.reset(seed=seed, options={"task": task})
    player = Searcher(draw_habits(rng, population), rng, rng.getrandbits(30))
    steps: list[DemonstrationStep] = []
    ended = False
    while not ended:
        action = _drawn(player, env)
        if rng.random() < settings.keep:
            draws = (action, *(_drawn(player, env) for _ in range(settings.draws - 1)))
            others = _tried(env, action, player, settings, population)
            steps.append(DemonstrationStep(tuple(info["messages"]), action, draws, others))
        _, _, terminated, truncated, info = env.step(action)
        ended = terminated or truncated or env.steps == settings.most_steps
    success = bool(info["success"])
    transcript = react_transcript(env.observations, env.actions)
    return HouseholdDemonstration(task, float(success), success, tuple(steps), transcript)


def play_all(
    env: AlfworldEnv,
    tasks: Sequence[str],
    seed: int,
    settings: DemonstrationSettings | None = None,
    population: Sequence[tuple[Habits, float]] = POPULATION,
) -> Iterator[HouseholdDemonstration]:
    """One episode per task, in order."""
    for task in tasks:
        yield play(env, task, seed, settings, population)


def react_examples(env: AlfworldEnv, tasks: Sequence[str], task_type: str, count: int = 2) -> list[str]:
    """Transcripts of careful players who solved the first tasks of that type, for ``react_prompt``."""
    found: list[str] = []
    for task in tasks:
        if len(found) == count:
            break
        if f"/{task_type}-" in task:
            shown = play(env, task, 0, population=((CAREFUL, 1.0),))
            found += [shown.transcript] if shown.success else []
    return found


def _careful(env: Any, seed: int) -> str:
    return env.player_action()


def _drawn(player: Searcher, env: AlfworldEnv) -> str:
    return player.act(env.notes, env.admissible, env.actions[-_DONE:])


def _tried(
    env: AlfworldEnv,
    taken: str,
    player: Searcher,
    settings: DemonstrationSettings,
    population: Sequence[tuple[Habits, float]],
) -> tuple[Alternative, ...]:
    """The action taken and those of other players, each with what follows and its value for a careful player."""
    if not settings.alternatives:
        return ()
    found = dict.fromkeys([taken])
    for _ in range(3 * settings.alternatives):
        if len(found) >= settings.alternatives:
            break
        other = Searcher(draw_habits(player.rng, population), player.rng, player.rng.getrandbits(30))
        found.setdefault(_drawn(other, env))
    # Exact values know where things are hidden: by them looking for a thing is worth nothing.
    playing = ContinuationSettings(1, settings.gamma, _LONGEST)
    values = continuation_returns(env, list(found), _careful, 0, playing)
    start = env.snapshot()
    tried: list[Alternative] = []
    for action, value in zip(found, values, strict=True):
        _, _, terminated, _, info = env.step(action)
        text = str(info["messages"][-1]["content"])
        page = "the end" if terminated else action.partition(" ")[0]
        tried.append(Alternative(action, float(value), page, text, info["legal"]))
        env.restore(start)
    return tuple(tried)
