from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agentq_envs.continuations import ContinuationSettings, continuation_returns


class Line:
    """A walk on a line: "+" and "-" move, 1 is paid at +3 and the walk ends at either end."""

    def __init__(self, limit: int = 100) -> None:
        self.place, self.steps, self.limit, self.total_steps = 0, 0, limit, 0

    def snapshot(self) -> tuple[int, int]:
        return self.place, self.steps

    def restore(self, snapshot: tuple[int, int]) -> None:
        self.place, self.steps = snapshot

    def step(self, action: str) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        self.place += 1 if action == "+" else -1
        self.steps += 1
        self.total_steps += 1
        return self.place, float(self.place == 3), abs(self.place) == 3, self.steps >= self.limit, {}


def forward(env: Line, seed: int) -> str:
    return "+"


def test_rewards_are_discounted_from_the_action_on() -> None:
    values = continuation_returns(Line(), ["+", "-"], forward, 0, ContinuationSettings(1, 0.5))
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, [0.5**2, 0.5**4])  # two and four actions later


def test_the_first_action_has_weight_one() -> None:
    env = Line()
    env.place = 2
    np.testing.assert_allclose(
        continuation_returns(env, ["+"], forward, 0, ContinuationSettings(1, 0.1)), [1.0]
    )


def test_the_environment_is_left_as_it_was() -> None:
    env = Line()
    env.step("+")
    continuation_returns(env, ["+", "-", "+"], forward, 0)
    assert env.snapshot() == (1, 1)
    assert continuation_returns(env, [], forward, 0).shape == (0,)


def test_truncation_and_the_limit_end_a_continuation() -> None:
    assert continuation_returns(Line(limit=2), ["+"], forward, 0).tolist() == [0.0]
    env = Line()
    settings = ContinuationSettings(1, 1.0, max_steps=2)
    assert continuation_returns(env, ["+", "-"], forward, 0, settings).tolist() == [0.0, 0.0]
    assert env.total_steps == 4
    assert continuation_returns(Line(), ["+"], forward, 0, ContinuationSettings(1, 1.0, 3)).tolist() == [1.0]


def noisy(env: Line, seed: int) -> str:
    return "+" if np.random.default_rng(seed).random() < 0.5 else "-"


def test_the_mean_over_continuations_approaches_the_exact_value() -> None:
    """A fair walk from +1 reaches +3 before -3 with probability 4/6, from -1 with 2/6."""
    settings = ContinuationSettings(count=600, gamma=1.0, max_steps=200)
    values = continuation_returns(Line(), ["+", "-"], noisy, 7, settings)
    np.testing.assert_allclose(values, [4 / 6, 2 / 6], atol=0.06)


def test_the_seed_decides_and_continuations_differ() -> None:
    settings = ContinuationSettings(count=4, gamma=1.0)
    once = [continuation_returns(Line(), ["+", "-"], noisy, seed, settings).tolist() for seed in range(8)]
    again = [continuation_returns(Line(), ["+", "-"], noisy, seed, settings).tolist() for seed in range(8)]
    assert once == again
    assert any(0.0 < value < 1.0 for values in once for value in values)  # the four do not copy each other


@pytest.mark.parametrize("actions", [["+", "-"], ["-", "+"]])
def test_the_order_of_actions_does_not_matter(actions: list[str]) -> None:
    values = dict(zip(actions, continuation_returns(Line(), actions, noisy, 3).tolist(), strict=True))
    assert values == dict(zip("+-", continuation_returns(Line(), ["+", "-"], noisy, 3).tolist(), strict=True))
