from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from agentq_envs.webshop import WebShopEnv
from agentq_envs.webshop.expert import Expert, goal_queries, searched, wanted_options
from agentq_envs.webshop.goals import Goal
from agentq_envs.webshop.loading import shared_server, shop_files
from agentq_envs.webshop.pages import PAGE_SIZE
from agentq_envs.webshop.server import WebShopServer


def play(server: WebShopServer, goal_index: int, limit: int = 15) -> Iterator[tuple[str, float]]:
    """The expert's actions and rewards, on the server alone: nothing is rendered."""
    session = server.start(goal_index)
    expert = Expert(server, server.goals[goal_index])
    actions: list[str] = []
    while len(actions) < limit and not session.done:
        actions.append(expert.act(session, actions))
        yield actions[-1], server.act(session, actions[-1]).reward


def test_solves_the_generated_catalogue() -> None:
    server = shared_server(shop_files(), noun_tagger="rules")
    sample = random.Random(0).sample(range(len(server.goals)), 1500)
    scores = [sum(reward for _, reward in play(server, index)) for index in sample]
    assert sum(score == 1.0 for score in scores) >= 0.99 * len(sample)


def full_score(server: WebShopServer, goal: Goal) -> float:
    """What the goal's own product is worth with all wanted options; one product lacks an attribute."""
    options = [str(value).lower() for _, value in goal.option_items()]
    return server.reward(goal, goal.asin, options).total


def test_gets_the_most_out_of_every_goal_of_the_hand_made_shop(server: WebShopServer) -> None:
    assert sorted(full_score(server, goal) for goal in server.goals) == pytest.approx([2 / 3, 1, 1, 1, 1])
    for index, goal in enumerate(server.goals):
        steps = list(play(server, index))
        assert steps[-1] == ("click[buy now]", full_score(server, goal))
        assert steps[0][0] == f"search[{goal_queries(server, goal)[0]}]"


def test_solves_human_goals(options: dict[str, Any]) -> None:
    env = WebShopEnv(**options, human_goals=True)
    assert [name for name, _ in play(env.server, 0)][-2:] == ["click[navy blue]", "click[buy now]"]
    assert wanted_options(env.server, env.server.goals[0]) == {"color": "navy blue"}


def test_goes_on_from_wherever_an_episode_was_left(server: WebShopServer) -> None:
    env = WebShopEnv(server=server, max_steps=40)
    rng = random.Random(3)
    for seed in range(20):
        env.reset(seed=seed)
        for _ in range(8):
            clicks = [a for a in env.server.admissible(env.session) if a != "click[buy now]"]
            env.step(rng.choice(["search[<r>]", "search[strange]", *clicks]))
        reward, ended = 0.0, False
        while not ended:
            _, reward, terminated, truncated, _ = env.step(env.expert_action())
            ended = terminated or truncated
        assert (reward, env.steps < 40) == (full_score(server, env.goal), True), env.actions


def test_a_query_that_failed_is_not_made_again(server: WebShopServer) -> None:
    goal = server.goals[0]
    expert = Expert(server, goal)
    short, title = goal_queries(server, goal)
    session = server.start(0)
    assert expert.act(session) == f"search[{short}]"
    assert expert.act(session, [f"search[{short}]", "click[back to search]"]) == f"search[{title}]"
    tried = [f"search[{short}]", f"search[{title}]"]
    assert expert.act(session, tried) == f"search[{title}]"  # nothing else is left
    assert searched([*tried, "click[x]", "nonsense"]) == [short, title]


def test_pages_towards_the_product_and_leaves_results_without_it(server: WebShopServer) -> None:
    session = server.start(0)
    server.act(session, "search[mug]")
    far = server.all_results(session)[PAGE_SIZE]
    expert = Expert(server, replace(server.goals[0], asin=far))
    assert expert.act(session) == "click[next >]"
    server.act(session, "click[next >]")
    assert expert.act(session) == f"click[{far.lower()}]"
    server.act(session, "click[next >]")
    assert expert.act(session) == "click[< prev]"
    server.act(session, "search[zzz]")
    assert server.all_results(session) == []
    assert expert.act(session) == "click[back to search]"


def test_options_that_no_click_can_choose_are_not_wanted(server: WebShopServer) -> None:
    wanted = replace(server.goals[0], asin="B000000002", goal_options={"kind": "buy now"})
    assert wanted_options(server, wanted) == {}
    assert wanted_options(server, replace(wanted, goal_options={"kind": "a[b]"})) == {}
    twice = replace(wanted, goal_options={"first": "same"})
    assert wanted_options(server, twice) == {"second": "same"}  # of equal values the later option is set
    session = server.start(0)
    for action in ("search[strange teapot]", "click[b000000002]"):
        server.act(session, action)
    assert Expert(server, twice).act(session) == "click[same]"
    server.act(session, "click[same]")
    assert Expert(server, twice).act(session) == "click[buy now]"


def test_a_human_wish_finds_the_value_the_reward_would_count(options: dict[str, Any]) -> None:
    server = WebShopEnv(**options, human_goals=True).server
    goal = replace(server.goals[0], goal_options=["Red", "16 oz"])
    found = wanted_options(server, goal)
    assert found == {"color": "red | white", "size": "16 oz"}
    assert server.reward(goal, goal.asin, found).option_matches == 2
    assert wanted_options(server, goal, "B000000003") == {}
