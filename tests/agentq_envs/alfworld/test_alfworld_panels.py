from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentq.errors import DataError, TaskError
from agentq_data.alfworld.generator import GeneratedGames, scene_split
from agentq_envs.alfworld.env import AlfworldEnv
from agentq_envs.alfworld.games import Library
from agentq_envs.alfworld.panels import (
    EMBEDDED,
    OFFICIAL_SPLITS,
    Panel,
    embedded_panels,
    load_panel,
    official_panels,
    panel_names,
    save_panel,
)
from agentq_eval.suites.panels import load_panel as load_for_suite
from agentq_eval.suites.suite import PanelSpec


def scene_of(task: str) -> int:
    return int(task.split("/")[1].rpartition("-")[2])


@pytest.mark.slow
def test_the_shipped_panels_are_the_generators() -> None:
    panels = embedded_panels()
    assert [panel.name for panel in panels] == [f"embedded-{name}" for name in EMBEDDED]
    assert [load_panel(panel.name) for panel in panels] == panels
    assert [len(panel.tasks) for panel in panels] == [2000, 200, 200, 200]


def test_no_game_is_in_two_panels_and_no_test_room_is_trained_in() -> None:
    panels = {name: load_panel(f"embedded-{name}") for name in EMBEDDED}
    assert len({task for panel in panels.values() for task in panel.tasks}) == 2600
    scenes = {name: {scene_of(task) for task in panel.tasks} for name, panel in panels.items()}
    assert not scenes["test"] & (scenes["train"] | scenes["validation"])
    assert not scenes["validation"] & scenes["train"]
    assert scenes["seen"] <= scenes["train"]
    assert {scene_split(scene) for scene in scenes["test"]} == {"test"}


def test_panels_hold_every_task_type_evenly_enough() -> None:
    for name in panel_names():
        counts: dict[str, int] = {}
        panel = load_panel(name)
        for kind in panel.strata.values():
            counts[kind] = counts.get(kind, 0) + 1
        assert len(counts) == 6
        assert min(counts.values()) >= len(panel.tasks) // 12
        assert sum(counts.values()) == len(panel.tasks)


@pytest.mark.parametrize(("split", "count"), OFFICIAL_SPLITS.items())
def test_official_panels_name_the_published_number_of_games(split: str, count: int) -> None:
    panel = load_panel(f"official-{split}")
    assert len(set(panel.tasks)) == count
    assert all(task.startswith(f"alfworld:{split}/") for task in panel.tasks)


def test_the_environment_gives_panels_to_the_harness() -> None:
    env = AlfworldEnv()
    panel = load_for_suite(PanelSpec(name="embedded-test", first=30), env)
    assert panel.hash == env.panel("embedded-test").hash
    assert len(panel.tasks) == len(panel.strata) == 30
    env.reset(options={"task": panel.tasks[0]})
    assert env.task == panel.tasks[0]


def test_a_panel_runs_on_its_own_games_only() -> None:
    with pytest.raises(TaskError, match="unknown task"):
        AlfworldEnv(games_seed=1).panel("embedded-test")
    with pytest.raises(TaskError, match="unknown task"):
        AlfworldEnv().panel("official-valid_unseen")
    task = load_panel("embedded-test").tasks[0]
    with pytest.raises(TaskError, match="another content"):
        Panel("other", (task[:-1] + ("0" if task[-1] != "0" else "1"),)).check(Library(GeneratedGames()))


def test_a_changed_panel_is_refused(tmp_path: Path) -> None:
    path = save_panel(Panel("mine", load_panel("embedded-test").tasks[:5]), tmp_path)
    assert load_panel(str(path)).name == "mine"
    record = json.loads(path.read_text())
    record["tasks"] = record["tasks"][1:]
    path.write_text(json.dumps(record))
    with pytest.raises(TaskError, match="was changed after it was frozen"):
        load_panel(str(path))


def test_unknown_and_broken_panels(tmp_path: Path) -> None:
    with pytest.raises(
        TaskError, match=r"unknown panel 'tset', expected one of embedded-seen, embedded-test"
    ):
        load_panel("tset")
    (tmp_path / "broken.json").write_text("[")
    for name in ("broken.json", "missing.json"):
        with pytest.raises(DataError, match="cannot be read"):
            load_panel(str(tmp_path / name))


def test_official_panels_need_all_games() -> None:
    with pytest.raises(TaskError, match="has 0 games of the split 'train', the benchmark has 3553"):
        official_panels(Library(GeneratedGames(count=3)))
