from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agentq.errors import TaskError
from agentq_envs.webshop.panels import load_panel, make_panels
from agentq_envs.webshop.shops import ShopSettings, panel_tasks, shop_env, training_shops


@pytest.fixture(scope="module")
def official(shop_folder: Path) -> ShopSettings:
    return ShopSettings(shop_folder / "products.json", shop_folder / "attributes.json")


def test_without_files_the_shipped_panels_are_taken() -> None:
    env = shop_env(ShopSettings())
    for split in ("train", "validation", "test"):
        assert panel_tasks(ShopSettings(), env.server, split) == load_panel(f"embedded-{split}").tasks
        assert panel_tasks(ShopSettings(panels="embedded"), env.server, split)
    assert shop_env(ShopSettings(), max_steps=4).max_steps == 4
    assert shop_env(ShopSettings(), max_steps=4).server is env.server


def test_only_training_tasks_are_learnt_from() -> None:
    (shop,) = training_shops(ShopSettings())
    held = {t for split in ("validation", "test") for t in load_panel(f"embedded-{split}").tasks}
    assert shop.tasks == load_panel("embedded-train").tasks
    assert not held & set(shop.tasks)


def test_further_catalogues_add_all_their_tasks() -> None:
    main, further = training_shops(ShopSettings(), further=1)
    assert further.tasks == tuple(further.env.server.task_ids)
    assert further.env.server.catalogue.content_hash != main.env.server.catalogue.content_hash
    assert not set(further.tasks) & set(main.env.server.task_ids)


def test_an_official_catalogue_is_divided_always_in_the_same_way(official: ShopSettings) -> None:
    env = shop_env(official)
    parts = {split: panel_tasks(official, env.server, split) for split in ("train", "validation", "test")}
    assert parts == {split: panel.tasks for split, panel in make_panels(env.server, "own").items()}
    assert parts["train"]
    tasks = [task for part in parts.values() for task in part]
    assert len(set(tasks)) == len(tasks)
    assert set(tasks) <= set(env.server.task_ids)
    assert [shop.tasks for shop in training_shops(official)] == [parts["train"]]


def test_human_instructions_are_the_tasks_where_they_are_given(
    official: ShopSettings, options: dict[str, Any]
) -> None:
    human = ShopSettings(official.products, official.attributes, Path(options["human"]))
    env = shop_env(human)
    assert [goal.instruction_text for goal in env.server.goals] == ["i want a navy mug."]


def test_a_shipped_panel_of_other_products_is_refused(official: ShopSettings) -> None:
    settings = ShopSettings(official.products, official.attributes, panels="embedded")
    with pytest.raises(TaskError):
        panel_tasks(settings, shop_env(settings).server, "train")
