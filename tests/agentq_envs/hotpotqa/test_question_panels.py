"""Panels: frozen, checked against the data, without a page in two of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentq.errors import DataError, TaskError
from agentq_envs.hotpotqa.panels import SplitSizes, load_panel, make_panels, panel_names, save_panel
from agentq_envs.hotpotqa.tasks import TaskSet

SIZES = {"embedded-train": 2228, "embedded-validation": 300, "embedded-test": 500}


def test_shipped_panels_are_those_of_the_rule(made_tasks: TaskSet) -> None:
    assert panel_names() == sorted(SIZES)
    made = {panel.name: panel for panel in make_panels(made_tasks, "embedded").values()}
    for name, size in SIZES.items():
        panel = load_panel(name, made_tasks)
        assert panel == made[name]
        assert len(set(panel.tasks)) == size


def test_no_supporting_page_is_in_two_panels(made_tasks: TaskSet) -> None:
    pages: list[set[str]] = []
    for name in SIZES:
        questions = [made_tasks.questions[made_tasks.index(task)] for task in load_panel(name).tasks]
        pages.append({title for q in questions for title, _ in q.supporting_facts})
    assert all(pages)
    assert len(set[str]().union(*pages)) == sum(map(len, pages))


def test_panels_of_own_questions(tasks: TaskSet, tmp_path: Path) -> None:
    panels = make_panels(tasks, "own", SplitSizes(test_share=0.4, validation_share=0.4))
    assert sorted(len(panel.tasks) for panel in panels.values()) == [1, 1, 1]
    path = save_panel(panels["test"], tmp_path)
    assert load_panel(str(path), tasks) == panels["test"]


def test_changed_panels_and_other_data_are_refused(
    tasks: TaskSet, made_tasks: TaskSet, tmp_path: Path
) -> None:
    with pytest.raises(TaskError, match="belongs to the data"):
        load_panel("embedded-test", tasks)
    with pytest.raises(TaskError, match="unknown panel 'embedded'"):
        load_panel("embedded", made_tasks)
    path = save_panel(make_panels(tasks, "own")["train"], tmp_path)
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "tasks": record["tasks"][1:]}))
    with pytest.raises(TaskError, match="does not fit its hash"):
        load_panel(str(path))
    path.write_text("{}")
    with pytest.raises(DataError, match="is no panel file"):
        load_panel(str(path))
