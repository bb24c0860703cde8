"""What the examples share: a shop to walk through, and a table of decisions."""

from __future__ import annotations

from typing import Any

import gymnasium

import agentq_envs  # noqa: F401 - registers the environment
from agentq.types import Decision

#: One task of the shop; others by their number.
TASK_SEED = 6
#: The small critic reads how likely the model found a reply, so the requests ask for it.
SAMPLING = {"temperature": 0.8, "logprobs": True}


class Shop:
    """One WebShop episode: ``page`` is the prompt of the state, ``act`` takes the next action."""

    def __init__(self, seed: int = TASK_SEED, max_steps: int = 8) -> None:
        self.env: Any = gymnasium.make("agentq/WebShop-v0", max_steps=max_steps).unwrapped
        _, self._info = self.env.reset(seed=seed)
        self.task: str = self.env.task
        self.done = False
        self.truncated = False
        self.score = 0.0

    @property
    def page(self) -> str:
        """The goal, what was done so far and the page, as text."""
        return self._info["messages"][0]["content"]

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The same as chat messages."""
        return [dict(message) for message in self._info["messages"]]

    def act(self, action: str) -> float:
        """Take an action and return its reward; the purchase is what is rewarded."""
        _, reward, terminated, self.truncated, self._info = self.env.step(action)
        self.done = terminated or self.truncated
        self.score += float(reward)
        return float(reward)


def show(decision: Decision) -> None:
    """Print a decision as a table: value, how many of the n candidates, action."""
    print(f"{'Q':>8}  {'of n':>4}  action")
    for index, candidate in enumerate(decision.candidates):
        mark = ">" if index == decision.index else " "
        text = candidate.action if candidate.action is not None else f"({candidate.error})"
        print(f"{mark}{decision.q[index]:7.3f}  {candidate.count:4d}  {text[:90]}")
    print()


def close(shop: Shop) -> None:
    """Print how the episode ended."""
    print(f"task {shop.task}: score {shop.score:.2f} after {shop.env.steps} steps")
