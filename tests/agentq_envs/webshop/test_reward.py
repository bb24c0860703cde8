from __future__ import annotations

import pytest

from agentq_envs.webshop.loading import ShopFiles, shared_server
from agentq_envs.webshop.reward import compare_types
from agentq_envs.webshop.server import GoalSettings, WebShopServer

CHOSEN = {"color": "navy blue", "size": "12 oz"}


def goal_with(server: WebShopServer, **options: str):
    return next(g for g in server.goals if g.goal_options == options)


def test_the_goal_itself_scores_one(server: WebShopServer) -> None:
    reward = server.reward(goal_with(server, **CHOSEN), "B000000001", CHOSEN)
    assert reward.success
    assert reward.to_json()["tagger"] == "rules-1"


def test_every_missing_part_costs_its_share(server: WebShopServer) -> None:
    goal = goal_with(server, **CHOSEN)  # one attribute, two options, price: four parts
    assert server.reward(goal, "B000000001", {"color": "navy blue"}).total == 3 / 4
    assert server.reward(goal, "B000000001", {}).total == 2 / 4
    assert server.reward(goal, "B000000001", ["16 oz", "red | white"]).option_matches == 0


def test_colour_words_of_human_goals_match_any_shade(files: ShopFiles) -> None:
    server = shared_server(files, GoalSettings(human=True), noun_tagger="rules")
    reward = server.reward(server.goals[0], "B000000001", {"color": "some other blue"})
    assert reward.r_option == 1.0


def test_attributes_are_also_found_in_the_texts(server: WebShopServer) -> None:
    goal = next(g for g in server.goals if g.asin == "B000000003")
    reward = server.reward(goal, "B000000004", {})  # dishwasher safe, but not stackable
    assert (reward.r_att, reward.r_option, reward.w_option) == (0.5, None, None)
    assert "r_option" not in reward.verbose_info()


@pytest.mark.parametrize(
    ("bought", "wanted", "r_type"),
    [
        (("q", "A › B", ["mug"]), ("q", "C", ["mug"]), 1.0),  # same query
        (("p", "A › B", ["mug", "x"]), ("q", "B › A › C", ["mug", *"abcdefg"]), 1.0),  # two common categories
        (("p", "A", ["mug"]), ("q", "C", ["mug", "tea", "cup", "pot"]), 1.0),  # a quarter of the nouns
        (("p", "A", ["mug"]), ("q", "C", ["mug", *"abcdefg"]), 0.5),
        (("q", "A", ["mug"]), ("q", "A", ["mug", *"abcdefghijk"]), 0.1),  # overrides the query
        (("q", "A", ["mug"]), ("q", "A", ["tea"]), 0.0),
        (("p", "A", ["mug"]), ("q", "C", []), 0.5),  # no noun counts as 0.2, which is not above 0.2
    ],
)
def test_type_reward(bought, wanted, r_type: float) -> None:
    assert compare_types(bought, wanted).r_type == r_type
