"""A world for tests: states are paths of action numbers, tasks end at a fixed depth with a reward of the path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from agentq.critics.base import Scores
from agentq.search.worlds import State
from agentq.types import Candidate, FloatArray, Messages


class PathWorld:
    """``branching`` actions per state; ``reward(path)`` is None while a task goes on. Counts its steps."""

    def __init__(self, reward: Callable[[tuple[int, ...]], float | None], branching: int = 3) -> None:
        self.reward = reward
        self.branching = branching
        self.steps = 0

    def root(self, task: str, seed: int) -> State:
        return self._state((), task)

    def step(self, state: State, action: str) -> State:
        self.steps += 1
        return self._state((*state.actions, action), str(state.handle))

    def _state(self, actions: tuple[str, ...], task: str) -> State:
        found = self.reward(tuple(map(int, actions)))
        return State(
            ({"role": "user", "content": f"{task}: {' '.join(actions)}"},),
            tuple(map(str, range(self.branching))),
            observation=" ".join(actions),
            reward=found or 0.0,
            ended=found is not None,
            actions=actions,
            handle=task,
        )


class DrawingPolicy:
    """Draws admissible actions, equal ones merged; counts its calls and the most states in one."""

    def __init__(self) -> None:
        self.calls = 0
        self.largest = 0

    def propose(
        self,
        batch: Sequence[Messages],
        n: int,
        seeds: Sequence[int],
        admissible: Sequence[Sequence[str] | None] | None = None,
    ) -> list[list[Candidate]]:
        self.calls += 1
        self.largest = max(self.largest, len(batch))
        assert admissible is not None
        return [self._draw(n, seed, actions or ()) for seed, actions in zip(seeds, admissible, strict=True)]

    def _draw(self, n: int, seed: int, actions: Sequence[str]) -> list[Candidate]:
        drawn = [actions[int(i)] for i in np.random.default_rng(seed).integers(len(actions), size=n)]
        return [Candidate(f"do {a}", a, count=drawn.count(a)) for a in dict.fromkeys(drawn)]


class AllActions(DrawingPolicy):
    """Proposes every admissible action once."""

    def _draw(self, n: int, seed: int, actions: Sequence[str]) -> list[Candidate]:
        return [Candidate(action, action) for action in actions]


class TableCritic:
    """Values by a function of (the text of the newest message, the action)."""

    def __init__(self, value: Callable[[str, str], float]) -> None:
        self.value = value
        self.calls = 0

    def score(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[FloatArray]:
        return [scores.q for scores in self.score_heads(batch)]

    def score_heads(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[Scores]:
        self.calls += 1
        return [
            Scores(np.array([self.value(str(m[-1]["content"]), str(c.action)) for c in some]))
            for m, some in batch
        ]


def content(tree: Any) -> list[tuple[str, int, float, str | None]]:
    """What two equal trees have in common."""
    return [(n.name, n.visits, n.value, n.action) for n in tree.root.preorder()]
