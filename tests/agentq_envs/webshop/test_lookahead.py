from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentq_envs.webshop import WebShopEnv
from agentq_envs.webshop.expert import Expert, goal_queries, searched
from agentq_envs.webshop.lookahead import GAMMA, Lookahead
from agentq_envs.webshop.pages import SEARCH_MARKER
from agentq_envs.webshop.server import WebShopServer
from agentq_envs.webshop.session import Session


def item(asin: str, name: str, options: dict[str, list[str]], price: str = "$9.00") -> dict[str, Any]:
    return {
        "asin": asin,
        "name": name,
        "full_description": "",
        "small_description": [],
        "pricing": price,
        "images": [],
        "product_category": "Home › Kitchen › Mugs",
        "customization_options": {k: [{"value": v} for v in values] for k, values in options.items()} or "",
        "category": "garden",
        "query": "mugs",
    }


#: The wanted mug comes after ten others in the ranking of the short query, so it is on the second page.
SHOP = [
    *(item(f"B00000001{i}", f"Steel Mug Mugs Mugs {i}", {"size": ["small", "large"]}) for i in range(10)),
    item(
        "B000000020", "Grand Clay Mug Of Olympia", {"color": ["navy blue", "red"], "size": ["small", "large"]}
    ),
    item("B000000021", "Velvet Sofa", {"size": ["small"]}),
    item("B000000022", "Clay Mug Set", {"style": ["red", "small"], "size": ["small", "buy now"]}),
]
GOALS = {
    "B000000020": ["red", "large"],
    "B000000022": ["red", "small"],  # "small" is in two options: a click sets the later one
}


@pytest.fixture(scope="module")
def envs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], WebShopEnv]:
    """Environments with a step limit on human goals for two of the mugs."""
    folder = tmp_path_factory.mktemp("mugs")
    human = {
        asin: [
            {
                "asin": asin,
                "instruction": "i want a clay mug.",
                "instruction_attributes": ["clay"],
                "instruction_options": options,
            }
        ]
        for asin, options in GOALS.items()
    }
    attributes = {product["asin"]: {"attributes": ["clay"]} for product in SHOP[-3:]}
    for name, content in (("products", SHOP), ("attributes", attributes), ("human", human)):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    files: list[Path] = [folder / f"{name}.json" for name in ("products", "attributes", "human")]
    return lambda limit: WebShopEnv(*files, human_goals=True, noun_tagger="rules", max_steps=limit)


def actions_in(server: WebShopServer, session: Session) -> list[str]:
    """All admissible clicks, and the expert's queries where there is a search box."""
    found: list[str] = []
    for action in server.admissible(session):
        queries = goal_queries(server, server.goal(session))
        found += [f"search[{query}]" for query in queries] if action == SEARCH_MARKER else [action]
    return found


class Exhaustive:
    """The slow reference: try everything, remembering states that were met before."""

    def __init__(self, server: WebShopServer) -> None:
        self.server = server
        self.known: dict[str, float] = {}

    def action_value(self, session: Session, action: str, steps: int) -> float:
        after = session.copy()
        outcome = self.server.act(after, action)
        return outcome.reward + (0.0 if outcome.done else GAMMA * self.value(after, steps - 1))

    def value(self, session: Session, steps: int) -> float:
        if steps <= 0:
            return 0.0
        s = session
        key = repr((steps, s.page, s.keywords, s.page_number, s.asin, s.sub_page, sorted(s.options.items())))
        if key not in self.known:
            actions = actions_in(self.server, s)
            self.known[key] = max((self.action_value(s, a, steps) for a in actions), default=0.0)
        return self.known[key]


@pytest.mark.parametrize("goal", [0, 1])
@pytest.mark.parametrize("limit", [3, 5, 7])
def test_equals_an_exhaustive_search(envs: Callable[[int], WebShopEnv], goal: int, limit: int) -> None:
    """On walks through the whole shop every admissible action has the value that trying everything finds."""
    env = envs(limit)
    reference = Exhaustive(env.server)
    seen = set[str]()
    for seed in range(6):
        rng = random.Random(seed)
        env.reset(seed=seed, options={"goal_index": goal})
        while env.steps_left and env.session.page != "done":
            actions = actions_in(env.server, env.session)
            values = env.lookahead(actions)
            expected = [reference.action_value(env.session, action, env.steps_left) for action in actions]
            assert values == pytest.approx(expected, abs=1e-12), (env.actions, actions)
            seen.add(env.session.page)
            env.step(rng.choice([action for action in actions if action != "click[buy now]"]))
    assert seen >= ({"search", "results", "item"} if limit == 3 else {"search", "results", "item", "sub"})


def test_the_expert_follows_the_best_values_of_a_reachable_goal(envs: Callable[[int], WebShopEnv]) -> None:
    env = envs(15)
    env.reset(seed=0, options={"task": next(t for t in env.server.task_ids if "B000000020" in t)})
    assert max(env.lookahead(actions_in(env.server, env.session))) == pytest.approx(GAMMA**4)
    while env.session.page != "done":
        action = env.expert_action()
        actions = list(dict.fromkeys([action, *actions_in(env.server, env.session)]))
        if env.session.page != "search":  # the expert's first query is the shopper's, not the shortest way
            assert env.lookahead([action])[0] == pytest.approx(max(env.lookahead(actions)))
        env.step(action)
    assert env.session.reward is not None
    assert env.session.reward.total == 1.0


def test_values_stay_within_bounds_and_a_wrong_kind_is_worth_nothing(
    envs: Callable[[int], WebShopEnv],
) -> None:
    env = envs(9)
    env.reset(seed=0, options={"goal_index": 0})
    env.step("search[velvet sofa]")
    env.step("click[b000000021]")
    assert env.session.asin == "B000000021"
    buy, back = env.lookahead(["click[buy now]", "click[back to search]"])
    assert buy == 0.0
    assert 0.0 < back <= GAMMA
    values = env.lookahead(["nonsense", "search[<r>]", *actions_in(env.server, env.session)])
    assert all(0.0 <= value <= 1.0 for value in values)


def test_no_value_is_left_without_steps(envs: Callable[[int], WebShopEnv]) -> None:
    env = envs(2)
    env.reset(seed=0, options={"goal_index": 0})
    env.step(env.expert_action())
    assert env.lookahead(actions_in(env.server, env.session)) == [0.0] * 12
    session = env.session
    assert Lookahead(env.server, env.goal).value(session, 0) == 0.0
    assert Lookahead(env.server, env.goal).value(session, 9) > 0.0


def test_after_the_end_nothing_has_value(envs: Callable[[int], WebShopEnv]) -> None:
    env = envs(15)
    env.reset(seed=0, options={"goal_index": 0})
    while env.session.page != "done":
        env.step(env.expert_action())
    again = env.expert_action()
    assert env.lookahead([again, "search[clay mug]"]) == [0.0, 0.0]
    assert env.step("search[clay mug]")[1] == 0.0


def test_a_new_goal_has_values_of_its_own(envs: Callable[[int], WebShopEnv]) -> None:
    env, fresh = envs(9), envs(9)
    for goal in (0, 1, 0):
        actions: list[list[float]] = []
        for one in (env, fresh if goal else envs(9)):
            one.reset(seed=0, options={"goal_index": goal})
            one.step("search[clay mug]")
            actions.append(one.lookahead(actions_in(one.server, one.session)))
        assert actions[0] == actions[1]


def test_looking_ahead_changes_nothing(envs: Callable[[int], WebShopEnv]) -> None:
    env = envs(9)
    env.reset(seed=0, options={"goal_index": 0})
    for action in (f"search[{goal_queries(env.server, env.goal)[0]}]", "click[next >]"):
        env.step(action)
        before = env.snapshot()
        env.lookahead(actions_in(env.server, env.session))
        assert env.snapshot() == before
    assert searched(env.actions) == [goal_queries(env.server, env.goal)[0]]
    assert Expert(env.server, env.goal).act(env.session, env.actions).startswith("click[")
