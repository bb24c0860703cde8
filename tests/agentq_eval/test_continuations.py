from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
import pytest

import agentq_envs
from agentq.agent import Agent
from agentq.policies.scripted import ScriptedPolicy
from agentq.selectors.first import First
from agentq.types import Candidate, Decision
from agentq_envs.continuations import ContinuationSettings, continuation_returns
from agentq_envs.webshop import WebShopEnv
from agentq_eval.continuations import Start, continued_returns
from agentq_eval.running.deciders import AgentDecider, View

MakeEnv = Callable[[], WebShopEnv]
ACTIONS = ("search[clay mug]", "search[velvet mug]", "click[back to search]", "nonsense")


class ExpertDecider:
    """Does what the environment's expert does."""

    def decide(self, views: Sequence[View]) -> list[Decision]:
        actions = [view.env.unwrapped.expert_action() for view in views]
        return [Decision((Candidate(a, a),), np.zeros(1), np.ones(1), 0) for a in actions]


@pytest.fixture
def starts(make_env: MakeEnv) -> list[Start]:
    """Several actions from several states of several tasks."""
    env = make_env()
    found: list[Start] = []
    for task in env.server.task_ids[:4]:
        env.reset(seed=0, options={"task": task})
        for _ in range(3):
            found += [Start(env.snapshot(), action, len(found)) for action in (*ACTIONS, env.expert_action())]
            env.step(env.expert_action())
    return found


def test_an_expert_continuation_is_the_same_as_one_at_a_time(make_env: MakeEnv, starts: list[Start]) -> None:
    returns = continued_returns(make_env, starts, ExpertDecider(), 0.8)
    env = make_env()
    settings = ContinuationSettings(1, 0.8)
    for start, value in zip(starts, returns, strict=True):
        env.restore(start.snapshot)
        expected = continuation_returns(env, [start.action], lambda e, seed: e.expert_action(), 0, settings)
        assert value == pytest.approx(expected[0])
    assert len(set(returns.round(6))) > 3


@pytest.mark.parametrize("size", [1, 7, 64])
def test_the_batch_size_changes_nothing(
    make_env: MakeEnv, starts: list[Start], policy: ScriptedPolicy, size: int
) -> None:
    decider = AgentDecider(Agent(policy, First(), n=1, on_invalid="execute"))
    expected = continued_returns(make_env, starts, decider, 0.9)
    np.testing.assert_array_equal(continued_returns(make_env, starts, decider, 0.9, size), expected)
    backwards = continued_returns(make_env, starts[::-1], decider, 0.9, size)
    np.testing.assert_array_equal(backwards[::-1], expected)
    assert (expected > 0).any()


def test_the_seed_of_a_start_decides_its_continuation(make_env: MakeEnv, policy: ScriptedPolicy) -> None:
    env = make_env()
    env.reset(seed=0)
    decider = AgentDecider(Agent(policy, First(), n=1, on_invalid="execute"))
    env.step("search[mug]")
    action = f"click[{env.server.results(env.session)[0].lower()}]"
    starts = [Start(env.snapshot(), action, seed) for seed in (*range(20), *range(20))]
    returns = continued_returns(make_env, starts, decider)
    np.testing.assert_array_equal(returns[:20], returns[20:])
    assert len(set(returns)) > 1


def test_a_first_action_that_ends_the_episode_is_worth_its_reward(make_env: MakeEnv) -> None:
    env = make_env()
    env.reset(seed=0)
    while env.session.page != "item" or env.expert_action() != "click[buy now]":
        env.step(env.expert_action())
    starts = [Start(env.snapshot(), action, 0) for action in ("click[buy now]", "click[buy now]", "nonsense")]
    returns = continued_returns(make_env, starts, ExpertDecider(), 0.5, batch_size=1)
    np.testing.assert_allclose(returns, [1.0, 1.0, 0.5])
    assert continued_returns(make_env, [], ExpertDecider()).shape == (0,)


def test_wrapped_environments_are_continued_without_a_reset(
    shop: dict[str, Any], starts: list[Start]
) -> None:
    """Gymnasium's wrappers refuse a step before their reset, which a restored state never had."""
    agentq_envs.register_environments()
    bare = continued_returns(lambda: WebShopEnv(**shop), starts[:6], ExpertDecider())
    wrapped = continued_returns(
        lambda: gymnasium.make("agentq/WebShop-v0", **shop), starts[:6], ExpertDecider()
    )
    np.testing.assert_array_equal(wrapped, bare)
