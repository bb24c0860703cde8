"""Transitions (s, a, r, s') with returns, streamed from logged episodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from agentq.errors import LogError
from agentq.trajectories.reader import Episode
from agentq.types import Candidate, FloatArray, Messages, Step, Trajectory

#: Flag of a logged decision that was made offline: what came back answers another action.
NOT_EXECUTED = "not_executed"


@dataclass(frozen=True, slots=True)
class Transition:
    """One step and what followed it.

    ``next_messages`` is the state the action led to: the next step's messages; after the last step, the list
    under ``info["final_messages"]`` when the episode was cut off there and the log kept it; else None.
    A truncated step still bootstraps from the next state's value, a terminated one never does.
    """

    episode: str
    step: int  # index in the episode, from 0
    task: str
    seed: int
    messages: Messages
    candidates: tuple[Candidate, ...]  # (N,) all that were proposed
    index: int  # of the executed candidate
    action: str  # as executed
    reward: float
    next_messages: Messages | None
    next_candidates: tuple[Candidate, ...]  # proposed in the next state; empty after the last step
    next_index: int | None  # of the candidate executed in the next state
    terminated: bool
    truncated: bool
    return_to_go: float  # sum over k >= 0 of gamma^k r_{t+k}, to the end of the log of this episode
    complete: bool  # the episode terminated, so that return_to_go misses nothing
    labels: FloatArray | None  # (N,) Monte-Carlo labels of the candidates, NaN: not labelled
    q: FloatArray  # (N,) values at the time of the choice
    probabilities: FloatArray  # (N,) of the selector

    @property
    def candidate(self) -> Candidate:
        """The executed candidate."""
        return self.candidates[self.index]

    @property
    def bootstraps(self) -> bool:
        """Whether the target has a next state's value: not terminated and the next state is in the log."""
        return not self.terminated and self.next_messages is not None


def transitions(episodes: Iterable[Episode], gamma: float = 1.0) -> Iterator[Transition]:
    """Stream the transitions of ``episodes`` (e.g. a ``TrajectoryReader``), returns discounted by gamma.

    Raises ``LogError`` for gamma outside [0, 1], an episode that goes on after a terminated or truncated
    step, or a decision that was never executed.
    """
    if not 0.0 <= gamma <= 1.0:
        raise LogError(f"gamma={gamma} is no discount. Expected a number from 0 to 1.")
    for episode in episodes:
        yield from _of_episode(episode.id, episode.trajectory, gamma)


def _of_episode(name: str, trajectory: Trajectory, gamma: float) -> Iterator[Transition]:
    steps = trajectory.steps
    returns = _returns_to_go([step.reward for step in steps], gamma)
    complete = bool(steps) and steps[-1].terminated
    for index, step in enumerate(steps):
        following = steps[index + 1] if index + 1 < len(steps) else None
        if following is not None and (step.terminated or step.truncated):
            raise LogError(
                f"episode {name!r} goes on after step {index}, which is marked terminated or truncated. "
                "Start a new trajectory at every reset."
            )
        decision = step.decision
        if NOT_EXECUTED in decision.flags:
            raise LogError(
                f"episode {name!r}, step {index}: its action was chosen afterwards and never executed, so the "
                "reward belongs to another one. Learn from the log that was rescored."
            )
        yield Transition(
            episode=name,
            step=index,
            task=trajectory.task,
            seed=trajectory.seed,
            messages=step.messages,
            candidates=decision.candidates,
            index=decision.index,
            action=decision.action,
            reward=step.reward,
            next_messages=following.messages if following else _final_messages(step),
            next_candidates=following.decision.candidates if following else (),
            next_index=following.decision.index if following else None,
            terminated=step.terminated,
            truncated=step.truncated,
            return_to_go=returns[index],
            complete=complete,
            labels=step.labels,
            q=decision.q,
            probabilities=decision.probabilities,
        )


def _final_messages(step: Step) -> Messages | None:
    final = step.info.get("final_messages")
    return None if step.terminated or final is None else tuple(final)


def _returns_to_go(rewards: list[float], gamma: float) -> list[float]:
    returns = [0.0] * len(rewards)
    ahead = 0.0
    for index in reversed(range(len(rewards))):
        ahead = rewards[index] + gamma * ahead
        returns[index] = ahead
    return returns
