from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np
import pytest

import agentq_envs
from agentq.agent import Agent, decision_seed
from agentq.policies.scripted import ScriptedPolicy
from agentq.selectors.best_of_n import BestOfN
from agentq.selectors.first import First
from agentq.selectors.softmax import Softmax
from agentq.types import Candidate, Decision, Messages, Trajectory
from agentq_envs.webshop import WebShopEnv
from agentq_eval.rollouts import Episode, run_episodes
from agentq_eval.running.deciders import AgentDecider, Decider, OracleDecider, View

MakeEnv = Callable[[], WebShopEnv]


@pytest.fixture
def episodes(make_env: MakeEnv) -> list[Episode]:
    return [Episode(task, seed) for task in make_env().server.task_ids for seed in (0, 1)]


@pytest.fixture
def decider(policy: ScriptedPolicy) -> Decider:
    """Draws at random among its candidates."""
    return AgentDecider(Agent(policy, Softmax(temperature=1.0), n=3, on_invalid="execute"))


def content(trajectory: Trajectory) -> Any:
    """Everything of a trajectory but the seconds it took."""
    steps = [
        (
            step.messages,
            step.decision.candidates,
            step.decision.q.tolist(),
            step.decision.probabilities.tolist(),
            step.decision.index,
            step.decision.draw,
            step.decision.selector,
            step.reward,
            step.terminated,
            step.truncated,
            step.info,
        )
        for step in trajectory.steps
    ]
    return trajectory.task, trajectory.seed, trajectory.environment, dict(trajectory.metadata), steps


def by_episode(trajectories: Any) -> dict[tuple[str, int], Any]:
    found = [content(trajectory) for trajectory in trajectories]
    assert len({one[:2] for one in found}) == len(found)
    return {one[:2]: one for one in found}


def test_batch_size_and_order_change_nothing(
    make_env: MakeEnv, episodes: list[Episode], decider: Decider
) -> None:
    alone = by_episode(run_episodes(make_env, episodes, decider, 1))
    assert set(alone) == {(episode.task, episode.seed) for episode in episodes}
    shuffled = random.Random(0).sample(episodes, len(episodes))
    assert by_episode(run_episodes(make_env, episodes, decider, 64)) == alone
    assert by_episode(run_episodes(make_env, shuffled, decider, 5)) == alone
    assert by_episode(run_episodes(make_env, episodes[::-1][:7], decider, 3)).items() <= alone.items()
    assert len({len(one[4]) for one in alone.values()}) > 1  # episodes of different lengths


def test_seeds_of_a_task_are_different_episodes(make_env: MakeEnv, decider: Decider) -> None:
    task = make_env().server.task_ids[0]
    played = list(run_episodes(make_env, [Episode(task, seed) for seed in range(5)], decider))
    assert len({tuple(step.decision.action for step in one.steps) for one in played}) > 1


def test_replaying_the_actions_gives_the_logged_states(
    make_env: MakeEnv, episodes: list[Episode], decider: Decider
) -> None:
    env = make_env()
    ends: set[tuple[bool, bool]] = set()
    for trajectory in run_episodes(make_env, episodes, decider, 4):
        _, info = env.reset(seed=trajectory.seed, options={"task": trajectory.task})
        for step in trajectory.steps:
            assert step.messages == info["messages"]
            _, reward, terminated, truncated, info = env.step(step.decision.action)
            assert (step.reward, step.terminated, step.truncated) == (reward, terminated, truncated)
            assert step.info["legal"] == info["legal"]
            assert ("final_messages" in step.info) == truncated
            json.dumps(step.info)
        last = trajectory.steps[-1]
        if last.truncated:
            assert last.info["final_messages"] == list(info["messages"])
        assert trajectory.score == sum(step.reward for step in trajectory.steps)
        assert trajectory.success == info["success"]
        assert trajectory.environment == "WebShopEnv"
        ends.add((last.terminated, last.truncated))
    assert ends == {(True, False), (False, True)}


def test_environments_are_made_once_per_place(
    make_env: MakeEnv, episodes: list[Episode], decider: Decider
) -> None:
    made: list[WebShopEnv] = []

    def counted() -> WebShopEnv:
        made.append(make_env())
        return made[-1]

    assert len(list(run_episodes(counted, episodes[:7], decider, 3))) == 7
    assert len(made) == 3
    assert list(run_episodes(counted, [], decider, 3)) == []
    assert len(made) == 3


def test_registered_environments_are_named(shop: dict[str, Any], decider: Decider) -> None:
    agentq_envs.register_environments()

    def make() -> Any:
        return gymnasium.make("agentq/WebShop-v0", **shop)

    task = make().unwrapped.server.task_ids[0]  # type: ignore[attr-defined]
    (one,) = run_episodes(make, [Episode(task, 0)], decider, metadata={"arm": "x"})
    assert (one.environment, one.metadata) == ("agentq/WebShop-v0", {"arm": "x"})


def test_an_observer_sees_every_state_before_its_step(
    make_env: MakeEnv, episodes: list[Episode], decider: Decider
) -> None:
    seen: dict[tuple[str, int, int], tuple[Any, Decision]] = {}

    def observe(episode: Episode, step: int, env: Any, decision: Decision) -> None:
        assert env.steps == step
        seen[episode.task, episode.seed, step] = env.snapshot(), decision

    played = list(run_episodes(make_env, episodes, decider, 5, observer=observe))
    assert len(seen) == sum(len(one.steps) for one in played)
    env = make_env()
    for one in played:
        for number, step in enumerate(one.steps):
            snapshot, decision = seen[one.task, one.seed, number]
            assert decision is step.decision
            assert env.restore(snapshot)[1]["messages"] == step.messages


def test_what_a_batch_costs_is_shared_between_its_decisions(
    make_env: MakeEnv, episodes: list[Episode], policy: ScriptedPolicy
) -> None:
    spent = 0

    class Counting:
        def propose(
            self, batch: Sequence[Messages], n: int, seeds: Sequence[int], admissible: Any = None
        ) -> list[list[Candidate]]:
            nonlocal spent
            spent += 10 * len(batch)
            return policy.propose(batch, n, seeds, admissible)

    agent = AgentDecider(Agent(Counting(), First(), n=1, on_invalid="execute"))
    played = list(run_episodes(make_env, episodes[:6], agent, 4, meter=lambda: spent))
    timings = [step.timings for one in played for step in one.steps]
    assert [timing["tokens"] for timing in timings] == pytest.approx([10.0] * len(timings))
    assert all(timing["decide"] >= 0 for timing in timings)


def test_every_decision_is_seeded_by_task_seed_and_step(make_env: MakeEnv, episodes: list[Episode]) -> None:
    seen: list[int] = []

    class Leaving:
        def decide(self, views: Sequence[View]) -> list[Decision]:
            seen.extend(view.seed for view in views)
            candidate = Candidate("click[back to search]", "click[back to search]")
            return [Decision((candidate,), np.zeros(1), np.ones(1), 0) for _ in views]

    first = episodes[0]
    (one,) = run_episodes(make_env, [first], Leaving())
    assert seen == [decision_seed(first.task, first.seed, step) for step in range(6)]
    assert len(set(seen)) == len(one.steps) == 6


def views_of(env: WebShopEnv, count: int = 20) -> list[View]:
    info = env._info()
    admissible = tuple(info["admissible_actions"])
    return [View(env, info["messages"], admissible, decision_seed("view", i, 0)) for i in range(count)]


def test_the_oracle_takes_the_best_of_its_candidates(make_env: MakeEnv, policy: ScriptedPolicy) -> None:
    env = make_env()
    env.reset(seed=0, options={"goal_index": 0})
    for action in ("search[mug]", f"click[{env.goal.asin.lower()}]"):
        env.step(action)
        before = env.snapshot()
        decisions = OracleDecider(policy, BestOfN(), 4).decide(views_of(env))
        assert env.snapshot() == before
        for decision in decisions:
            if decision.selector == "invalid":
                continue
            for candidate, q in zip(decision.candidates, decision.q, strict=True):
                exact = -np.inf if candidate.action is None else env.lookahead([candidate.action])[0]
                assert q == exact
            assert decision.q[decision.index] == decision.q.max()
            assert decision.selector == "oracle"
        assert len({decision.action for decision in decisions}) > 1


def test_the_oracle_executes_raw_text_where_nothing_parses(
    make_env: MakeEnv, babbling: ScriptedPolicy
) -> None:
    env = make_env()
    env.reset(seed=0)
    for decision in OracleDecider(babbling, BestOfN(), 3).decide(views_of(env, 5)):
        assert decision.selector == "invalid"
        assert decision.action == decision.candidates[0].text
        assert np.isneginf(decision.q).all()
        assert decision.probabilities.tolist() == [1.0] + [0.0] * (len(decision.candidates) - 1)


def test_the_oracle_is_no_worse_than_a_sample(
    make_env: MakeEnv, episodes: list[Episode], policy: ScriptedPolicy
) -> None:
    sampled = AgentDecider(Agent(policy, First(), n=1, on_invalid="execute"))
    scores = [
        np.mean([one.score for one in run_episodes(make_env, episodes, arm)])
        for arm in (sampled, OracleDecider(policy, BestOfN(), 8))
    ]
    assert scores[1] > scores[0] + 0.1
