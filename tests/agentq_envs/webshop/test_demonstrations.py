from __future__ import annotations

import pytest

from agentq_envs.demonstrations import Demonstration, DemonstrationSettings, DemonstrationStep
from agentq_envs.webshop import WebShopEnv
from agentq_envs.webshop.demonstrations import play, play_all
from agentq_envs.webshop.server import WebShopServer

VALUED = DemonstrationSettings(draws=3, alternatives=4, gamma=0.5)


@pytest.fixture
def env(server: WebShopServer) -> WebShopEnv:
    return WebShopEnv(server=server, max_steps=10)


def test_a_demonstration_replays_to_its_score(env: WebShopEnv) -> None:
    outcomes: set[bool] = set()
    for seed in range(12):
        found = play(env, env.server.task_ids[1], seed)
        _, info = env.reset(seed=seed, options={"task": found.task})
        score = 0.0
        for step in found.steps:
            assert step.messages == info["messages"]
            assert (step.draws, step.alternatives) == ((step.action,), ())
            _, reward, _, _, info = env.step(step.action)
            score += reward
        assert (score, info["success"]) == (found.score, found.success)
        outcomes.add(found.success)
    assert outcomes == {True, False}


def test_the_seed_decides_everything(env: WebShopEnv) -> None:
    task = env.server.task_ids[2]
    assert play(env, task, 3, VALUED) == play(env, task, 3, VALUED)
    assert len({repr(play(env, task, seed).steps) for seed in range(6)}) > 1


def test_all_tasks_are_played_in_order(env: WebShopEnv) -> None:
    tasks = env.server.task_ids[:3]
    alone = [play(env, task, 5) for task in tasks]
    assert list(play_all(env, tasks, 5)) == alone
    assert list(play_all(env, tasks[::-1], 5)) == alone[::-1]


def valued_steps(env: WebShopEnv) -> list[tuple[Demonstration, DemonstrationStep]]:
    played = [play(env, env.server.task_ids[1], seed, VALUED) for seed in range(6)]
    return [(one, step) for one in played for step in one.steps]


def test_alternatives_hold_what_really_follows(env: WebShopEnv) -> None:
    for seed in range(4):
        found = play(env, env.server.task_ids[1], seed, VALUED)
        _, _ = env.reset(seed=seed, options={"task": found.task})
        for step in found.steps:
            before = env.snapshot()
            for other in step.alternatives:
                assert env.lookahead([other.action], VALUED.gamma)[0] == pytest.approx(other.value)
                _, reward, terminated, truncated, info = env.step(other.action)
                assert (other.page, other.changed) == (info["page"], info["legal"])
                assert other.text == info["messages"][-1]["content"]
                weight = 1.0
                while not (
                    terminated or truncated
                ):  # nobody ends better than the best play, the expert neither
                    weight *= VALUED.gamma
                    _, reward, terminated, truncated, _ = env.step(env.expert_action())
                assert other.value >= weight * reward - 1e-9
                env.restore(before)
            env.step(step.action)


def test_alternatives_are_distinct_and_begin_with_the_action_taken(env: WebShopEnv) -> None:
    sizes: set[int] = set()
    for _, step in valued_steps(env):
        actions = [other.action for other in step.alternatives]
        assert actions[0] == step.action == step.draws[0]
        assert len(set(actions)) == len(actions) <= VALUED.alternatives
        assert len(step.draws) == VALUED.draws
        assert all(0.0 <= other.value <= 1.0 for other in step.alternatives)
        sizes.add(len(actions))
    assert max(sizes) > 1


def test_trying_alternatives_does_not_move_the_session(env: WebShopEnv) -> None:
    """Every step's prompt is that of the state which the actions before it lead to."""
    for seed in range(3):
        found = play(env, env.server.task_ids[3], seed, VALUED)
        _, info = env.reset(seed=seed, options={"task": found.task})
        for step in found.steps:
            assert step.messages == info["messages"]
            info = env.step(step.action)[4]


def test_a_share_of_the_steps_is_kept_without_changing_the_tasks_score(env: WebShopEnv) -> None:
    task = env.server.task_ids[0]
    every = [play(env, task, seed) for seed in range(30)]
    none = [play(env, task, seed, DemonstrationSettings(keep=0.0)) for seed in range(30)]
    half = [play(env, task, seed, DemonstrationSettings(keep=0.5)) for seed in range(30)]
    assert [one.score for one in none] == [one.score for one in half] == [one.score for one in every]
    # Searches are always kept.
    assert all(step.action.startswith("search") for one in none for step in one.steps)
    whole, kept = (sum(len(one.steps) for one in some) for some in (every, half))
    assert 0.3 * whole < kept < 0.7 * whole
    assert all(step in one.steps for part, one in zip(half, every, strict=True) for step in part.steps)
