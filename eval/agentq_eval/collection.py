"""Collect a log with a policy: episodes on training tasks, candidates labelled by snapshot continuations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from agentq.agent import decision_seed
from agentq.errors import ConfigError
from agentq.trajectories.writer import TrajectoryWriter
from agentq.types import Decision, FloatArray, Trajectory
from agentq_envs.continuations import ContinuationSettings, continuation_returns
from agentq_eval.continuations import Start, continued_returns
from agentq_eval.rollouts import Episode, run_episodes
from agentq_eval.running.deciders import Decider

#: none: logged returns alone; policy: the collecting policy plays on; guided: the agent that collects does, with its
#: selector and critic, so a label says what an action is worth to an agent that chooses; expert: the environment's
#: ``expert_action()`` does; player: its ``player_action()``, of somebody who sees no more than the agent; lookahead:
#: exact values of the environment's ``lookahead(actions, gamma)``. Where things are hidden, expert and lookahead know
#: where they are and so give looking for them no worth.
LabelKind = Literal["none", "policy", "guided", "expert", "player", "lookahead"]
_PLAYED_BY_AGENTS = ("policy", "guided")
_PLAYING_ON = {"expert": "expert_action", "player": "player_action"}
_LONGEST = 200  # steps of a continuation, where the environment has no limit
_WINDOW = 16  # episodes whose candidates are labelled together by a policy; a kill loses at most these


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """How the candidates of a logged state get values of their own."""

    kind: LabelKind = "expert"
    count: int = 1  # continuations per candidate; policy and guided only, the others are deterministic
    gamma: float = 0.9  # discount per step


@dataclass(frozen=True, slots=True)
class CollectionSummary:
    """What a collection added to a log."""

    episodes: int
    steps: int
    score: float  # mean over the episodes added


@dataclass(frozen=True, slots=True)
class _State:
    """A state of a running episode, kept until its candidates are labelled."""

    snapshot: Any
    actions: tuple[str | None, ...]  # of the candidates, None: does not parse
    values: FloatArray | None  # labels that were found at once


def collect(
    make_env: Callable[[], Any],
    episodes: Sequence[Episode],
    decider: Decider,
    writer: TrajectoryWriter,
    labels: LabelSettings | None = None,
    *,
    continue_with: Decider | None = None,
    batch_size: int = 64,
) -> CollectionSummary:
    """Play the episodes that the log does not hold yet and append each, labelled, when it is done.

    An episode given twice is played once. Labels by an agent are made for 16 episodes together.

    ``continue_with`` plays the continuations of ``kind="policy"`` (default: ``decider``), ``decider`` those of
    ``kind="guided"`` (policy iteration: the next critic values what this agent will do). Raises
    ``ConfigError`` when the environment lacks what the kind of label needs.
    """
    labels = labels or LabelSettings()
    missing = [episode for episode in dict.fromkeys(episodes) if _id(episode) not in writer]
    states: dict[tuple[str, int, int], _State] = {}
    if labels.kind != "none" and missing:
        _check_offers(make_env().unwrapped, labels.kind)

    def observe(episode: Episode, step: int, env: Any, decision: Decision) -> None:
        states[episode.task, episode.seed, step] = _kept(env.unwrapped, decision, labels)

    played = run_episodes(
        make_env, missing, decider, batch_size, observer=None if labels.kind == "none" else observe
    )
    scores: list[float] = []
    steps = 0
    playing_on = continue_with if continue_with is not None and labels.kind == "policy" else decider
    for window in _windows(played, _WINDOW if labels.kind in _PLAYED_BY_AGENTS else 1):
        for trajectory in _labelled(window, states, make_env, playing_on, labels):
            writer.write(trajectory, episode=_id(Episode(trajectory.task, trajectory.seed)))
            scores.append(trajectory.score)
            steps += len(trajectory.steps)
    return CollectionSummary(len(scores), steps, float(np.mean(scores)) if scores else 0.0)


def _id(episode: Episode) -> str:
    return f"{episode.task}#{episode.seed}"


def _check_offers(env: Any, kind: LabelKind) -> None:
    needed = ["snapshot", "restore"]
    needed += [kind] if kind == "lookahead" else [_PLAYING_ON[kind]] if kind in _PLAYING_ON else []
    lacking = [name for name in needed if not callable(getattr(env, name, None))]
    if lacking:
        raise ConfigError(
            f"labels of kind {kind!r} need {', '.join(lacking)}(), which {type(env).__name__} does not "
            "offer. Use kind='none' (logged returns), or a kind that the environment supports."
        )


def _kept(env: Any, decision: Decision, labels: LabelSettings) -> _State:
    actions = tuple(candidate.action for candidate in decision.candidates)
    valid = [action for action in actions if action is not None]
    if labels.kind in _PLAYED_BY_AGENTS:
        return _State(env.snapshot(), actions, None)
    if labels.kind == "lookahead":
        found = env.lookahead(valid, labels.gamma)
    else:
        settings = ContinuationSettings(1, labels.gamma, _LONGEST)
        name = _PLAYING_ON[labels.kind]
        found = continuation_returns(env, valid, lambda e, seed: getattr(e, name)(), 0, settings)
    values = np.full(len(actions), np.nan)
    values[[i for i, action in enumerate(actions) if action is not None]] = found
    return _State(None, actions, values)


def _labelled(
    window: Sequence[Trajectory],
    states: dict[tuple[str, int, int], _State],
    make_env: Callable[[], Any],
    decider: Decider,
    labels: LabelSettings,
) -> Iterator[Trajectory]:
    if labels.kind == "none":
        yield from window
        return
    keys = [(t.task, t.seed, number) for t in window for number in range(len(t.steps))]
    kept = [states.pop(key) for key in keys]
    values = [state.values for state in kept]
    if labels.kind in _PLAYED_BY_AGENTS:
        values = _continued(keys, kept, make_env, decider, labels)
    remaining = iter(values)
    for trajectory in window:
        steps = tuple(replace(step, labels=next(remaining)) for step in trajectory.steps)
        yield replace(trajectory, steps=steps)


def _continued(
    keys: Sequence[tuple[str, int, int]],
    states: Sequence[_State],
    make_env: Callable[[], Any],
    decider: Decider,
    labels: LabelSettings,
) -> list[FloatArray | None]:
    starts: list[Start] = []
    places: list[tuple[int, int]] = []
    for row, (key, state) in enumerate(zip(keys, states, strict=True)):
        for column, action in enumerate(state.actions):
            for attempt in range(labels.count if action is not None else 0):
                # Not the column: the candidates of a state share their random numbers, which cancels noise.
                starts.append(Start(state.snapshot, str(action), decision_seed(f"{key}", attempt, 0)))
                places.append((row, column))
    returns = continued_returns(make_env, starts, decider, labels.gamma)
    values: list[FloatArray | None] = []
    sums = dict.fromkeys(places, 0.0)
    for place, value in zip(places, returns, strict=True):
        sums[place] += float(value) / labels.count
    for row, state in enumerate(states):
        values.append(np.array([sums.get((row, column), np.nan) for column in range(len(state.actions))]))
    return values


def _windows(trajectories: Iterator[Trajectory], size: int) -> Iterator[list[Trajectory]]:
    window: list[Trajectory] = []
    for trajectory in trajectories:
        window.append(trajectory)
        if len(window) == size:
            yield window
            window = []
    if window:
        yield window
