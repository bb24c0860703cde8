from __future__ import annotations

import random
from collections import Counter

import pytest

from agentq.errors import DataError
from agentq_envs.webshop.catalogue import build_catalogue
from agentq_envs.webshop.goals import NO_CEILING, Goal, cumulative_weights, make_goals, weighted_index
from agentq_envs.webshop.loading import ShopFiles, shared_server
from agentq_envs.webshop.server import GoalSettings, WebShopServer

SOFA = {
    "asin": "B1",
    "name": "Sofa",
    "full_description": "",
    "small_description": [],
    "customization_options": "",
    "category": "c",
    "query": "q",
    "product_category": "p",
}


def test_one_goal_per_combination_with_names_in_alphabetical_order(server: WebShopServer) -> None:
    texts = [g.instruction_text for g in server.goals if g.asin == "B000000001"]
    assert len(texts) == 4
    assert any(" with color: red | white, and size: 16 oz, and price lower than " in text for text in texts)


def test_weights_average_over_attributes(server: WebShopServer) -> None:
    weights = {goal.asin: goal.weight for goal in server.goals}
    assert weights == {"B000000001": 1 / 4, "B000000003": 1.0}


def test_ceilings_come_from_the_next_four_tens_above_the_price(files: ShopFiles) -> None:
    ceilings = {
        goal.price_upper
        for seed in range(40)
        for goal in shared_server(files, GoalSettings(seed=seed), noun_tagger="rules").goals
        if goal.asin == "B000000003"  # costs 12.50
    }
    assert ceilings == {30.0, 40.0, 50.0}  # the larger of two of 20, 30, 40, 50


@pytest.mark.parametrize(
    ("price", "ceiling"), [("$979.99", 990.0), ("$980.00", NO_CEILING), ("$5000", NO_CEILING)]
)
def test_very_high_prices_have_no_ceiling(price: str, ceiling: float) -> None:
    entry = {"instruction": "Find me a sofa", "instruction_attributes": ["soft"]}
    catalogue = build_catalogue([{**SOFA, "pricing": price}], {"B1": entry})
    goals = make_goals(catalogue.products, random.Random(0))
    assert goals[0].price_upper == ceiling
    assert ("price lower" in goals[0].instruction_text) == (ceiling != NO_CEILING)


def test_human_goals_have_option_values_and_no_final_dot(files: ShopFiles) -> None:
    goals = shared_server(files, GoalSettings(human=True), noun_tagger="rules").goals
    assert [goal.goal_options for goal in goals] == [["navy blue"]]
    assert goals[0].instruction_text.startswith("i want a navy mug, and price lower than ")


def test_incomplete_human_records_are_named() -> None:
    catalogue = build_catalogue([SOFA], {}, {"B1": [{"instruction": "a sofa"}]}, human_goals=True)
    with pytest.raises(DataError, match="'B1' lacks the field 'instruction_attributes'"):
        make_goals(catalogue.products, random.Random(0), human=True)


def test_an_instruction_without_attributes_is_refused() -> None:
    catalogue = build_catalogue([SOFA], {"B1": {"instruction": "Find me a sofa"}})
    with pytest.raises(DataError, match="'B1' has an instruction but no instruction_attributes"):
        make_goals(catalogue.products, random.Random(0))


def test_goal_zero_is_never_drawn_and_the_last_has_two_weights() -> None:
    goals = [Goal("B1", "c", "q", "n", "p", "t", ("a",), 10.0, {}, weight=1) for _ in range(4)]
    rng = random.Random(0)
    drawn = Counter(weighted_index(cumulative_weights(goals), rng) for _ in range(4000))
    assert set(drawn) == {1, 2, 3}
    assert 1800 < drawn[3] < 2200


def test_filter_and_limit_apply_after_the_shuffle(server: WebShopServer, files: ShopFiles) -> None:
    products = server.catalogue.products
    odd = make_goals(products, random.Random(0), goal_filter=lambda i, goal: i % 2 == 1)
    everything = make_goals(products, random.Random(0))
    assert odd == everything[1::2]
    limited = make_goals(products, random.Random(0), limit=2)
    assert len(limited) == 2
    assert all(goal in everything for goal in limited)
    with pytest.raises(DataError, match="no synthetic goal that passes the filter"):
        make_goals(products, random.Random(0), goal_filter=lambda i, goal: False)


def test_task_ids_ignore_the_weight_but_nothing_else(server: WebShopServer) -> None:
    goal = server.goals[0]
    record = goal.to_json()
    assert Goal.from_json({**record, "weight": 0.5}).task_id() == goal.task_id()
    assert Goal.from_json({**record, "price_upper": 77.0}).task_id() != goal.task_id()
    assert goal.task_id().startswith(f"webshop:{goal.asin}:")
