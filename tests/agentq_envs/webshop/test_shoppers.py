from __future__ import annotations

import random
from collections import Counter

import pytest

from agentq_envs.webshop import WebShopEnv
from agentq_envs.webshop.expert import goal_queries
from agentq_envs.webshop.server import WebShopServer
from agentq_envs.webshop.shoppers import (
    BROWSER,
    CAREFUL,
    HASTY,
    POPULATION,
    SLOPPY,
    Habits,
    Shopper,
    draw_habits,
)


@pytest.fixture
def env(server: WebShopServer) -> WebShopEnv:
    """On the goal that wants a colour and a size."""
    env = WebShopEnv(server=server, max_steps=15)
    goals = [len(goal.goal_options) for goal in server.goals]
    env.reset(seed=0, options={"goal_index": goals.index(max(goals))})
    return env


def shopper(env: WebShopEnv, habits: Habits, seed: int = 0) -> Shopper:
    return Shopper(env.server, env.goal, habits, random.Random(seed))


def play(env: WebShopEnv, habits: Habits, seed: int) -> tuple[tuple[str, ...], float]:
    env.reset(seed=0, options={"task": env.task})
    one, score, ended = shopper(env, habits, seed), 0.0, False
    while not ended:
        _, reward, terminated, truncated, info = env.step(one.act(env.session, env.actions))
        assert info["legal"], env.actions
        score += reward
        ended = terminated or truncated
    return env.actions, score


def test_without_lapses_the_goal_is_always_reached(env: WebShopEnv) -> None:
    assert [play(env, Habits(), seed)[1] for seed in range(10)] == [1.0] * 10


def test_the_same_generator_gives_the_same_session(env: WebShopEnv) -> None:
    sessions = [play(env, SLOPPY, seed) for seed in range(8)]
    assert sessions == [play(env, SLOPPY, seed) for seed in range(8)]
    assert len({actions for actions, _ in sessions}) > 4


def test_every_shopper_acts_legally_and_habits_decide_the_scores(env: WebShopEnv) -> None:
    scores = {
        habits: sum(play(env, habits, seed)[1] for seed in range(40)) / 40
        for habits in (CAREFUL, HASTY, SLOPPY, BROWSER)
    }
    assert scores[CAREFUL] > max(scores[HASTY], scores[SLOPPY]) > scores[BROWSER]
    assert scores[CAREFUL] > 0.8


def test_a_shopper_of_firsts_opens_the_first_result(env: WebShopEnv) -> None:
    env.step("search[mug]")
    first = env.server.results(env.session)[0].lower()
    assert shopper(env, Habits(first_result=1.0)).act(env.session, env.actions) == f"click[{first}]"
    opened = {shopper(env, Habits(any_result=1.0), i).act(env.session, env.actions) for i in range(30)}
    assert len(opened) > 3


def test_who_settles_buys_a_wrong_product_and_others_go_back(env: WebShopEnv) -> None:
    env.step("search[plain mug number 5]")
    env.step("click[b000000005]")
    assert shopper(env, Habits(settle=1.0)).act(env.session, env.actions) == "click[buy now]"
    assert shopper(env, Habits()).act(env.session, env.actions) == "click[< prev]"


def test_options_are_skipped_or_chosen_wrongly(env: WebShopEnv) -> None:
    env.step(f"search[{goal_queries(env.server, env.goal)[1]}]")
    env.step(f"click[{env.goal.asin.lower()}]")
    values = {f"click[{v}]" for vs in env.server.products[env.goal.asin].options.values() for v in vs}
    assert shopper(env, Habits()).act(env.session, env.actions) in values
    assert shopper(env, Habits(skip_option=1.0)).act(env.session, env.actions) == "click[buy now]"
    wrong = {shopper(env, Habits(wrong_option=1.0), i).act(env.session, env.actions) for i in range(20)}
    assert len(wrong & values) == len(wrong) > 1


def test_wandering_takes_any_admissible_action_but_buying(env: WebShopEnv) -> None:
    one = shopper(env, Habits(wander=1.0))
    assert one.act(env.session, env.actions).startswith("search[")  # there is nothing else to do
    for action in ("search[ceramic]", "click[b000000001]"):
        env.step(action)
        seen = Counter(one.act(env.session, env.actions) for _ in range(300))
        assert set(seen) <= set(env.server.admissible(env.session)) - {"click[buy now]"}
        assert len(seen) > 3


def test_a_query_is_made_of_the_goals_words_and_not_repeated(env: WebShopEnv) -> None:
    words = set(f"{env.goal.query} {' '.join(env.goal.attributes)}".split())
    for seed in range(20):
        query = shopper(env, Habits(), seed).act(env.session, ())
        assert set(query[7:-1].split()) == words
        vague = shopper(env, Habits(vague_query=1.0), seed).act(env.session, ())
        assert set(vague[7:-1].split()) <= words
        made = shopper(env, Habits(), seed).act(env.session, (query,))
        assert made != query


def test_the_population_is_drawn_by_its_shares() -> None:
    rng = random.Random(0)
    drawn = Counter(draw_habits(rng) for _ in range(4000))
    assert sum(share for _, share in POPULATION) == pytest.approx(1.0)
    for habits, share in POPULATION:
        assert drawn[habits] / 4000 == pytest.approx(share, abs=0.03)
