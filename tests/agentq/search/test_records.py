"""Trees on disk: the same back, append-only, going on after a kill; a page that shows them."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from agentq.cli import main
from agentq.errors import LogError
from agentq.search.collecting import SearchTask, collect_trees
from agentq.search.drawing import tree_page, tree_svg
from agentq.search.forest import Forest
from agentq.search.pairs import PairSettings, tree_pairs
from agentq.search.records import TreeWriter, read_trees
from agentq.search.settings import SearchSettings
from agentq.search.tree import Tree
from tests.agentq.search.toy_world import DrawingPolicy, PathWorld, content


def half(path: tuple[int, ...]) -> float | None:
    return None if len(path) < 3 else (0.5 if path[0] == 1 else 0.1 * path[2])


TASKS = [SearchTask(f"task <{i}>") for i in range(5)]
SETTINGS = SearchSettings(iterations=20)


def collected(path: Path, tasks: list[SearchTask] = TASKS) -> tuple[list[Tree], DrawingPolicy]:
    policy = DrawingPolicy()
    trees = collect_trees(Forest(policy), lambda: PathWorld(half), tasks, path, SETTINGS, shown=False)
    return trees, policy


def test_trees_come_back_as_they_were(tmp_path: Path) -> None:
    trees, _ = collected(tmp_path / "trees.jsonl")
    for tree in trees:
        path = tmp_path / "again.jsonl"
        with TreeWriter(path) as writer:
            writer.write(tree)
        again = list(read_trees(path))[-1]
        assert content(again) == content(tree)
        assert again.best_path() == tree.best_path() != []
        pairs = [[pair.row(t) for pair in tree_pairs(t, PairSettings("all"))] for t in (tree, again)]
        assert pairs[0] == pairs[1] != []


def test_collecting_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    whole, _ = collected(tmp_path / "whole.jsonl")
    path = tmp_path / "trees.jsonl"
    collected(path, TASKS[:3])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2][: len(lines[2]) // 2])  # killed while writing the third
    before = path.read_bytes()[: len(lines[0] + lines[1])]
    resumed, _ = collected(path)
    assert path.read_bytes().startswith(before)
    assert {t.task: content(t) for t in resumed} == {t.task: content(t) for t in whole}
    _, policy = collected(path)
    assert policy.calls == 0


def test_damage_inside_and_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "trees.jsonl"
    collected(path, TASKS[:2])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"broken\n" + lines[1])
    with pytest.raises(LogError, match="line 1"):
        list(read_trees(path))
    path.write_bytes(json.dumps({"format": 99, "nodes": []}).encode() + b"\n")
    with pytest.raises(LogError, match="Upgrade"):
        list(read_trees(path))
    with pytest.raises(LogError, match="cannot be read"):
        list(read_trees(tmp_path / "absent.jsonl"))


def test_picture_shows_every_node_and_escapes_texts(tmp_path: Path) -> None:
    trees, _ = collected(tmp_path / "trees.jsonl")
    svg = ElementTree.fromstring(str(tree_svg(trees[0])))
    name = "{http://www.w3.org/2000/svg}"
    count = sum(1 for _ in trees[0].root.preorder())
    assert len(svg.findall(f"{name}g")) == count
    assert len(svg.findall(f"{name}path")) == count - 1
    assert len(svg.findall(f"{name}path[@class='best']")) == len(trees[0].best_path())
    assert trees[0].task in svg.attrib["aria-label"]
    some = ElementTree.fromstring(str(tree_svg(trees[0], maximum=5)))
    assert 2 <= len(some.findall(f"{name}g")) < count


def test_page_needs_nothing_else(tmp_path: Path) -> None:
    trees, _ = collected(tmp_path / "trees.jsonl")
    page = tree_page(trees)
    assert page.count("<details") == len(trees)
    assert "task &lt;0&gt;" in page
    assert not any(word in page for word in ("<script", "src=", "href=", "@import", "url("))


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "trees.jsonl"
    collected(path)
    assert main(["tree", str(path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(TASKS)
    assert main(["tree", str(path), "--task", "task <1>"]) == 0
    assert "value  reward  action" in capsys.readouterr().out
    assert main(["tree", str(path), "--output", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    assert main(["tree", str(path), "--task", "task <1>", "--output", str(tmp_path / "one.svg")]) == 0
    assert (tmp_path / "one.svg").read_text().startswith("<svg")
    capsys.readouterr()
    for wrong in (
        ["--output", str(tmp_path / "all.svg")],
        ["--output", str(tmp_path / "x.pdf")],
        ["--task", "no"],
    ):
        assert main(["tree", str(path), *wrong]) == 1
    assert capsys.readouterr().err.count("agentq: error:") == 3
