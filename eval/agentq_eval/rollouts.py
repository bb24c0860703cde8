"""Play episodes in lockstep batches: one policy call and one critic call serve many episodes.

Each decision is seeded by (task, seed, step) alone, so the batch size and the order of episodes never
change a result, and two arms on the same (task, seed) are paired.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

import numpy as np

from agentq.agent import Agent, decision_seed
from agentq.errors import ConfigError
from agentq.policies.base import Policy
from agentq.selectors.base import Selector
from agentq.types import Decision, FloatArray, Message, Step, Trajectory


@dataclass(frozen=True, slots=True)
class Episode:
    """What to play: a task of the environment and a seed."""

    task: str
    seed: int


@dataclass(frozen=True, slots=True)
class View:
    """What a decider may look at. An agent reads the messages; only an oracle touches ``env``."""

    env: Any
    messages: tuple[Message, ...]
    admissible: tuple[str, ...] | None
    seed: int


class Decider(Protocol):
    """Chooses actions for a batch of episodes."""

    def decide(self, views: Sequence[View]) -> list[Decision]:
        """One decision per view."""
        ...


@dataclass(frozen=True)
class AgentDecider:
    """An agent behind the decider interface."""

    agent: Agent

    def decide(self, views: Sequence[View]) -> list[Decision]:
        """The agent's decisions, from messages and admissible actions alone."""
        return self.agent.act_batch(
            [view.messages for view in views],
            [view.seed for view in views],
            [view.admissible for view in views],
        )


@dataclass(frozen=True)
class OracleDecider:
    """Chooses the best of the same n candidates by the environment's exact lookahead.

    The environment offers ``lookahead(actions) -> values``: the discounted value of each action when
    play goes on optimally. This is the upper bound for any critic on these candidates.
    """

    policy: Policy
    selector: Selector
    n: int

    def decide(self, views: Sequence[View]) -> list[Decision]:
        """Decisions by exact values; the environments are left as they were."""
        proposals = self.policy.propose(
            [v.messages for v in views], self.n, [v.seed for v in views], [v.admissible for v in views]
        )
        decisions: list[Decision] = []
        for view, candidates in zip(views, proposals, strict=True):
            q: FloatArray = np.full(len(candidates), -np.inf)
            valid = [i for i, candidate in enumerate(candidates) if candidate.action is not None]
            q[valid] = view.env.unwrapped.lookahead([str(candidates[i].action) for i in valid])
            if not valid:  # as the agents: the raw text is executed and counts as a wasted step
                certain = np.eye(1, len(candidates))[0]
                decisions.append(Decision(tuple(candidates), q, certain, 0, selector="invalid"))
                continue
            selection = self.selector.select(q, candidates, np.random.default_rng([view.seed, 1]))
            decisions.append(
                Decision(
                    candidates=tuple(candidates),
                    q=q,
                    probabilities=selection.probabilities,
                    index=selection.index,
                    draw=selection.draw,
                    selector="oracle",
                )
            )
        return decisions


#: Called with (episode, number of the step, env, decision) before a step is taken: to keep snapshots.
Observer = Callable[[Episode, int, Any, Decision], None]
#: Tokens that went through models so far; the difference over a batch is shared between its decisions.
Meter = Callable[[], int]

_KEPT = ("success", "reward", "page", "legal", "tagger")  # of info, in the log


@dataclass
class _Running:
    episode: Episode
    env: Any
    info: dict[str, Any]
    steps: list[Step] = field(default_factory=list[Step])


def run_episodes(
    make_env: Callable[[], Any],
    episodes: Iterable[Episode],
    decider: Decider,
    batch_size: int = 64,
    observer: Observer | None = None,
    meter: Meter | None = None,
    metadata: dict[str, Any] | None = None,
) -> Iterator[Trajectory]:
    """Play all episodes, ``batch_size`` at a time, and yield each as it ends.

    Environments are Gymnasium environments whose info holds ``messages`` (the prompt of the state) and
    optionally ``admissible_actions``. They are made once and reused.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size={batch_size}: expected at least 1 episode at a time.")
    waiting = iter(episodes)
    running = [_start(make_env(), e) for e in _take(waiting, batch_size)]
    while running:
        views = [_view(r) for r in running]
        before = meter() if meter is not None else 0
        started = time.perf_counter()
        decisions = decider.decide(views)
        seconds = (time.perf_counter() - started) / len(running)
        tokens = (meter() - before) / len(running) if meter is not None else 0.0
        going: list[_Running] = []
        for current, view, decision in zip(running, views, decisions, strict=True):
            if observer is not None:
                observer(current.episode, len(current.steps), current.env, decision)
            finished = _advance(current, view, decision, {"decide": seconds, "tokens": tokens})
            if not finished:
                going.append(current)
                continue
            yield _trajectory(current, metadata or {})
            going.extend(_start(current.env, episode) for episode in _take(waiting, 1))
        running = going


def _take(episodes: Iterator[Episode], count: int) -> list[Episode]:
    return list(islice(episodes, count))


def _start(env: Any, episode: Episode) -> _Running:
    _, info = env.reset(seed=episode.seed, options={"task": episode.task})
    return _Running(episode=episode, env=env, info=info)


def _view(current: _Running) -> View:
    admissible = current.info.get("admissible_actions")
    return View(
        env=current.env,
        messages=tuple(current.info["messages"]),
        admissible=tuple(admissible) if admissible is not None else None,
        seed=decision_seed(current.episode.task, current.episode.seed, len(current.steps)),
    )


def _advance(current: _Running, view: View, decision: Decision, timings: dict[str, float]) -> bool:
    _, reward, terminated, truncated, info = current.env.step(decision.action)
    kept = {key: info[key] for key in _KEPT if key in info}
    if truncated and not terminated:  # TD needs the state behind a cut
        kept["final_messages"] = list(info["messages"])
    current.steps.append(
        Step(
            messages=view.messages,
            decision=decision,
            reward=float(reward),
            terminated=bool(terminated),
            truncated=bool(truncated),
            info=kept,
            timings=timings,
        )
    )
    current.info = info
    return bool(terminated or truncated)


def _trajectory(current: _Running, metadata: dict[str, Any]) -> Trajectory:
    spec = getattr(current.env, "spec", None)
    return Trajectory(
        task=current.episode.task,
        seed=current.episode.seed,
        steps=tuple(current.steps),
        environment=str(spec.id) if spec is not None else type(current.env.unwrapped).__name__,
        metadata=metadata,
    )
