from __future__ import annotations

import random

import pytest

from agentq_envs.webshop.catalogue import load_catalogue
from agentq_envs.webshop.classic import ClassicTextEnv
from agentq_envs.webshop.loading import ShopFiles, build_index
from agentq_envs.webshop.server import WebShopServer


@pytest.fixture
def fresh(files: ShopFiles) -> WebShopServer:
    catalogue = load_catalogue(files.products, files.attributes)
    return WebShopServer(catalogue, build_index(catalogue), rng=random.Random(4))


def test_an_int_is_session_and_goal(fresh: WebShopServer) -> None:
    env = ClassicTextEnv(fresh, session_prefix="p_")
    assert env.reset(2)[1] is None
    assert env.current.url == "http://127.0.0.1:3000/p_2"
    assert env.instruction_text == f"Instruction: {fresh.goals[2].instruction_text}"
    assert env.get_available_actions() == {"has_search_bar": True, "clickables": ["search"]}


def test_unnamed_sessions_draw_from_the_servers_stream(files: ShopFiles) -> None:
    names = []
    for _ in range(2):
        catalogue = load_catalogue(files.products, files.attributes)
        server = WebShopServer(catalogue, build_index(catalogue), rng=random.Random(4))
        names.append(ClassicTextEnv(server).current.session_id)
    assert names[0] == names[1]
    assert len(names[0]) == 10


def test_a_session_seen_before_keeps_its_goal_and_record(fresh: WebShopServer) -> None:
    env = ClassicTextEnv(fresh)
    env.reset("mine")
    goal = env.current.goal_index
    for action in ("search[ceramic]", "click[b000000001]"):
        env.step(action)
    state, reward, done, info = env.step("click[buy now]")
    assert (done, info) == (True, None)
    assert f"{reward}" in state
    assert env.get_instruction_text() == ""
    assert env.step("search[mug]")[1:3] == (0.0, False)  # a session goes on after a purchase
    env.reset("mine")
    assert (env.current.goal_index, env.current.page, env.current.done) == (goal, "search", True)
    other = ClassicTextEnv(fresh, session="mine", sessions=env.sessions)
    assert other.current is env.current
