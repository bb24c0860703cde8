from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agentq.errors import DataError, TaskError
from agentq_envs.webshop.loading import ShopFiles, shared_server, shop_files
from agentq_envs.webshop.panels import (
    SPLITS,
    SplitSizes,
    load_panel,
    make_panels,
    official_panel,
    panel_names,
    save_panel,
    title_families,
)
from agentq_envs.webshop.server import GoalSettings, WebShopServer


@pytest.fixture(scope="module")
def embedded() -> WebShopServer:
    return shared_server(shop_files(), noun_tagger="rules")


def test_the_shipped_panels_belong_to_the_generated_catalogue(embedded: WebShopServer) -> None:
    assert panel_names() == sorted(f"embedded-{split}" for split in SPLITS)
    panels = {split: load_panel(f"embedded-{split}", embedded) for split in SPLITS}
    assert (len(panels["test"].tasks), len(panels["validation"].tasks)) == (500, 300)
    assert len(panels["train"].tasks) > 2000
    assert panels == make_panels(embedded, "embedded")


def test_no_product_and_no_family_crosses_splits(embedded: WebShopServer) -> None:
    family_of = {
        asin: i for i, family in enumerate(title_families(embedded.catalogue.products)) for asin in family
    }
    families = [
        {
            family_of[embedded.goals[embedded.goal_index(task)].asin]
            for task in load_panel(f"embedded-{split}").tasks
        }
        for split in SPLITS
    ]
    assert sum(map(len, families)) == len(set().union(*families))
    assert max(map(len, (title_families(embedded.catalogue.products)))) < 20  # near-duplicates, not kinds


def test_panels_of_any_server_can_be_saved(server: WebShopServer, tmp_path: Path) -> None:
    panels = make_panels(server, "tiny", SplitSizes(2, 2, test_share=0.5, validation_share=0.0))
    path = save_panel(panels["train"], tmp_path)
    assert load_panel(str(path), server) == panels["train"]
    assert sum(len(panel.tasks) for panel in panels.values()) in (3, 5)  # at most two of a product are tested


def test_a_changed_panel_is_refused(server: WebShopServer, tmp_path: Path) -> None:
    path = save_panel(make_panels(server, "tiny")["train"], tmp_path)
    record = json.loads(path.read_text())
    record["tasks"] = record["tasks"][1:]
    path.write_text(json.dumps(record))
    with pytest.raises(TaskError, match="does not fit its hash"):
        load_panel(str(path))


def test_a_panel_runs_on_its_own_data_only(server: WebShopServer, files: ShopFiles) -> None:
    panel = load_panel("embedded-test")
    with pytest.raises(TaskError, match="belongs to the catalogue"):
        panel.check(server)
    own = make_panels(server, "tiny")["train"]
    with pytest.raises(TaskError, match="goal_seed=0, human_goals=False, this server goal_seed=3"):
        own.check(shared_server(files, GoalSettings(seed=3), noun_tagger="rules"))
    with pytest.raises(TaskError, match="unknown task"):
        replace(own, tasks=("webshop:x:0",)).check(server)


def test_unknown_and_broken_panels(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"unknown panel 'tset', expected one of embedded-test"):
        load_panel("tset")
    (tmp_path / "p.json").write_text("{}")
    with pytest.raises(DataError, match="is no panel file"):
        load_panel(str(tmp_path / "p.json"))
    with pytest.raises(DataError, match="cannot read the panel"):
        load_panel(str(tmp_path / "absent.json"))


def test_the_official_splits_go_by_goal_index(embedded: WebShopServer, server: WebShopServer) -> None:
    ids = embedded.task_ids
    assert official_panel("test", embedded).tasks == tuple(dict.fromkeys(ids[:500]))
    assert load_panel("official-test", embedded) == official_panel("test", embedded)
    assert official_panel("train", embedded).tasks == tuple(dict.fromkeys(ids[1500:]))
    with pytest.raises(TaskError, match="begins at goal 500, this server has 5 goals"):
        official_panel("validation", server)
    with pytest.raises(TaskError, match="pass server="):
        load_panel("official-test")
    with pytest.raises(TaskError, match="unknown split 'dev'"):
        official_panel("dev", server)
