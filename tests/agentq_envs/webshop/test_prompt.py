from __future__ import annotations

import random
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentq_envs.webshop import WebShopEnv
from agentq_envs.webshop.pages import SEARCH_MARKER
from agentq_envs.webshop.prompt import PromptSettings, compact_prompt, observation_prompt, prompt_with

BUTTON = re.compile(r"\[ (.+?) \]")
WIDE = PromptSettings(values=1000)


@pytest.fixture
def env(options: dict[str, Any]) -> WebShopEnv:
    return WebShopEnv(**options, max_steps=50)


def shown(env: WebShopEnv, limits: PromptSettings | None = None) -> str:
    (message,) = compact_prompt(env, limits or PromptSettings())
    assert message["role"] == "user"
    return str(message["content"])


def walk(env: WebShopEnv, *actions: str) -> None:
    env.reset(seed=0, options={"goal_index": 0})
    for action in actions:
        assert env.step(action)[4]["legal"], action


@pytest.mark.parametrize("show_attrs", [False, True])
def test_every_admissible_click_stands_in_the_prompt(options: dict[str, Any], show_attrs: bool) -> None:
    env = WebShopEnv(**options, max_steps=None, show_attrs=show_attrs, prompt=prompt_with(WIDE))
    rng = random.Random(1)
    pages: set[str] = set()
    for seed in range(12):
        _, info = env.reset(seed=seed)
        for _ in range(12):
            clicks = [action for action in info["admissible_actions"] if action != SEARCH_MARKER]
            prompt = info["messages"][0]["content"]
            assert [action for action in clicks if f"[ {action[6:-1]} ]" not in prompt] == []
            pages.add(info["page"])
            info = env.step(rng.choice(clicks or ["search[mug]", "search[strange teapot]"]))[4]
    assert pages == {"search", "results", "item", "sub", "done"}


def test_the_results_page_offers_nothing_that_cannot_be_clicked(env: WebShopEnv) -> None:
    for actions in (("search[mug]",), ("search[mug]", "click[next >]")):
        walk(env, *actions)
        buttons = {f"click[{button}]" for button in BUTTON.findall(shown(env))}
        assert buttons == set(env.server.admissible(env.session))


def test_a_button_stands_at_the_end_of_its_description(env: WebShopEnv) -> None:
    walk(env, "search[ceramic]")
    line = next(line for line in shown(env).splitlines() if "b000000001" in line)
    product = env.server.products["B000000001"]
    assert line == f"{product.title} {product.price_tag} [ b000000001 ]"
    walk(env, "search[ceramic]", "click[b000000001]", "click[< prev]")
    assert f"{product.price_tag} seen [ b000000001 ]" in shown(env)


def test_chosen_options_are_marked_and_the_purchase_names_them(env: WebShopEnv) -> None:
    walk(env, "search[ceramic]", "click[b000000001]", "click[navy blue]")
    lines = shown(env).splitlines()
    assert "color: [ navy blue ] chosen" in lines
    assert "color: [ red | white ]" in lines
    assert lines[-1].endswith("; color: navy blue; size: not chosen [ buy now ]")


def test_of_many_values_the_chosen_one_is_always_shown(env: WebShopEnv) -> None:
    walk(env, "search[ceramic]", "click[b000000001]", "click[red | white]")
    one = shown(env, PromptSettings(values=1)).splitlines()
    assert [line for line in one if line.startswith("color: [")] == [
        "color: [ navy blue ]",
        "color: [ red | white ] chosen",
    ]
    assert sum(line.startswith("size: [") for line in one) == 1


def test_texts_are_cut_at_a_number_of_words(env: WebShopEnv) -> None:
    walk(env, "search[ceramic]", "click[b000000001]", "click[features]")
    assert "first point about blue ceramic mug ; second point" in shown(env)
    short = shown(env, PromptSettings(title_words=1, text_words=2)).splitlines()
    assert "Page: features of Blue" in short
    assert "first point" in short
    walk(env, "search[ceramic]", "click[b000000001]", "click[description]")
    assert "Description of the blue ceramic mug." in shown(env)


def test_the_goal_comes_first_and_then_the_last_actions(env: WebShopEnv) -> None:
    walk(env)
    assert shown(env) == f"Goal: {env.goal.instruction_text}\nDone: nothing\nPage: search"
    walk(env, "search[mug]", "click[next >]", "click[< prev]", "click[next >]")
    assert "Done: click[next >] > click[< prev] > click[next >]\n" in shown(env)
    assert "Done: click[next >]\n" in shown(env, PromptSettings(history=1))
    assert "Done: nothing\n" in shown(env, PromptSettings(history=0))


def test_babble_neither_fills_the_prompt_nor_looks_like_its_lines(env: WebShopEnv) -> None:
    env.reset(seed=0)
    env.step("Page: done\n[ buy now ]" + " word" * 20_000)
    assert len(shown(env)) < 1_000
    assert "Done: Page: done [ buy now ] word word" in shown(env)
    assert len(shown(env).splitlines()) == 3


def test_the_official_observation_lists_the_actions(env: WebShopEnv) -> None:
    walk(env, "search[mug]")
    text = str(observation_prompt(env)[0]["content"])
    assert text.startswith(env.server.observe(env.session, env.mode))
    assert text.split("Admissible actions:\n")[1].splitlines() == list(env.server.admissible(env.session))


ANYTHING = st.one_of(
    st.text(),
    st.text().map(lambda text: f"search[{text}]"),
    st.text().map(lambda text: f"click[{text}]"),
    st.sampled_from(
        ["click[features]", "click[b000000002]", "search[teapot]", "click[same]", "click[buy now]"]
    ),
)


@given(actions=st.lists(ANYTHING, max_size=7), sizes=st.tuples(*[st.integers(0, 20)] * 4))
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_action_text_makes_the_prompt_raise(
    env: WebShopEnv, actions: list[str], sizes: tuple[int, int, int, int]
) -> None:
    env.reset(seed=1)
    for action in actions:
        *_, info = env.step(action)
        assert info["messages"] == compact_prompt(env)
        text = shown(env, PromptSettings(*sizes))
        assert text.startswith("Goal: ")
        assert len(text.splitlines()[1]) <= len("Done: ") + 3 * sizes[2] + 300 * sizes[2] + len("nothing")
