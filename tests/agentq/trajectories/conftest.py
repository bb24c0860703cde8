"""Trajectories made by hand, by a seed, and by hypothesis; a comparison that treats NaN as equal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from agentq.types import Candidate, Decision, Step, Trajectory


def make_trajectory(seed: int, steps: int = 2, text: str = "page") -> Trajectory:
    """A growing conversation with two candidates per step, the second one invalid."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": f"{text} {seed}"}]
    made: list[Step] = []
    for index in range(steps):
        last = index == steps - 1
        candidates = (
            Candidate("click[a]", "click[a]", None, (1, 2, 3), (-0.5, -0.25, -1e-9), 3),
            Candidate("junk", None, "no action", (9,), (-2.0,)),
        )
        decision = Decision(
            candidates,
            np.array([0.1 * seed, -np.inf]),
            np.array([1.0, 0.0]),
            0,
            0.625,
            np.array([[0.1, -np.inf], [0.3, -np.inf]]),
            "best_of_n",
            ("greedy",),
            np.array([0.25, np.inf]),
            {"bound": "min"},
        )
        labels = np.array([0.5, np.nan]) if index == 0 else None
        made.append(
            Step(
                tuple(messages),
                decision,
                1.0 if last else 0.0,
                last,
                False,
                {"parts": {"attributes": 0.5}},
                {"propose": 0.01},
                labels,
            )
        )
        messages = [
            *messages,
            {"role": "assistant", "content": "click[a]"},
            {"role": "user", "content": f"page {index}"},
        ]
    return Trajectory(f"task-{seed}", seed, tuple(made), "shop", {"versions": {"agentq": "0.1.0"}})


def same(left: Any, right: Any) -> bool:
    """Deep equality of dataclasses in which NaN equals NaN and arrays compare by value and dtype."""
    if isinstance(left, np.ndarray):
        return (
            isinstance(right, np.ndarray)
            and left.dtype == right.dtype
            and left.shape == right.shape
            and np.array_equal(left, right, equal_nan=True)
        )
    if hasattr(left, "__dataclass_fields__"):
        return type(left) is type(right) and all(
            same(getattr(left, name), getattr(right, name)) for name in left.__dataclass_fields__
        )
    if isinstance(left, tuple | list):
        return type(left) is type(right) and len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return (
            isinstance(right, dict)
            and left.keys() == right.keys()
            and all(same(left[k], right[k]) for k in left)
        )
    if isinstance(left, float) and left != left:
        return isinstance(right, float) and right != right
    return bool(left == right)


@pytest.fixture(scope="session")
def trajectory() -> Callable[..., Trajectory]:
    return make_trajectory


@pytest.fixture(scope="session")
def equal() -> Callable[[Any, Any], bool]:
    return same
