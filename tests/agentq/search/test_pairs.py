"""Preference pairs: which siblings, which prompt, and where they came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentq.errors import ConfigError, TrainingError
from agentq.search.pairs import PROVENANCE, PairSettings, tree_pairs, write_pairs
from agentq.search.tree import Node, Tree
from agentq.search.worlds import State


def grown() -> Tree:
    """Root with children a, b, c; a (reward below) is the path, b has the larger mean, c was never visited."""
    start = tuple(
        {"role": r, "content": c}
        for r, c in (
            ("user", "INST"),
            ("assistant", "OK"),
            ("user", "EX1"),
            ("assistant", "EX2"),
            ("user", "TASK"),
        )
    )
    root = Node(State(start), visits=4, value=0.4)
    for action, visits, value in (("a", 2, 0.4), ("b", 1, 0.6), ("c", 0, 0.0)):
        message = ({"role": "user", "content": f"state {action}"},)
        root.children.append(
            Node(
                State(message, observation=f"saw {action}"),
                root,
                action,
                f"I say {action}",
                visits,
                value,
                depth=1,
            )
        )
    a = root.children[0]
    for action, visits, value, reward in (("d", 1, 1.0, 1.0), ("e", 1, 0.3, 0.3), ("f", 1, 0.25, 0.25)):
        a.children.append(Node(State(), a, action, action, visits, value, reward, True, depth=2))
    return Tree("t", 0, root)


def named(settings: PairSettings) -> list[tuple[str | None, str | None]]:
    return [(pair.chosen.action, pair.rejected.action) for pair in tree_pairs(grown(), settings)]


def test_rules() -> None:
    assert named(PairSettings()) == [("b", "c"), ("d", "f")]  # the best sibling, not the action of the path
    assert named(PairSettings("path")) == [("a", "c"), ("d", "f")]
    assert named(PairSettings("all")) == [
        ("a", "c"),
        ("b", "a"),
        ("b", "c"),
        ("d", "e"),
        ("d", "f"),
        ("e", "f"),
    ]


def test_gap_and_visits() -> None:
    assert named(PairSettings("all", minimum_gap=0.1)) == [
        ("a", "c"),
        ("b", "a"),
        ("b", "c"),
        ("d", "e"),
        ("d", "f"),
    ]
    assert named(PairSettings("all", minimum_visits=1)) == [("b", "a"), ("d", "e"), ("d", "f"), ("e", "f")]
    assert named(PairSettings("path", minimum_visits=1)) == [("d", "f")]  # a is the worst of the visited
    assert named(PairSettings(minimum_gap=0.7)) == [("d", "f")]
    with pytest.raises(ConfigError):
        PairSettings(minimum_gap=-1)


def test_no_reward_no_pair_along_a_path() -> None:
    tree = grown()
    for node in tree.root.preorder():
        node.reward = 0.0
    assert list(tree_pairs(tree, PairSettings())) == []
    assert list(tree_pairs(tree, PairSettings("all"))) != []


def texts(settings: PairSettings) -> list[list[str]]:
    return [[str(turn["content"]) for turn in pair.prompt] for pair in tree_pairs(grown(), settings)]


def test_prompts() -> None:
    start = ["INST", "OK", "EX1", "EX2", "TASK"]
    assert texts(PairSettings())[1] == ["state a"]
    assert texts(PairSettings(prompt="transcript"))[1] == [*start, "I say a", "saw a"]
    dropped = texts(PairSettings(prompt="transcript", drop_examples=True))
    assert dropped == [["INST", "OK", "TASK"], ["INST", "OK", "TASK", "I say a", "saw a"]]


def test_written_with_their_origin(tmp_path: Path) -> None:
    from datasets import load_from_disk

    source = tmp_path / "trees.jsonl"
    source.write_text("trees")
    write_pairs([grown(), grown()], tmp_path / "pairs", PairSettings("all", 0.1), source=source)
    rows: Any = load_from_disk(str(tmp_path / "pairs"))
    assert len(rows) == 10
    assert rows[0]["chosen"] == [{"role": "assistant", "content": "I say a"}]
    assert (rows[0]["chosen_action"], rows[0]["rejected_action"]) == ("a", "c")
    assert rows[0]["prompt"][-1] == {"role": "user", "content": "TASK"}
    assert rows[0]["chosen_value"] - rows[0]["rejected_value"] == pytest.approx(0.4)
    about = json.loads((tmp_path / "pairs" / PROVENANCE).read_text())
    assert (about["pairs"], about["trees"], about["source"]) == (10, 2, "trees.jsonl")
    assert about["settings"]["minimum_gap"] == 0.1
    assert len(about["source_sha256"]) == len(about["rows_sha256"]) == 64
    assert "datasets" in about["versions"]


def test_a_limit_draws_by_its_seed(tmp_path: Path) -> None:
    trees = [grown() for _ in range(6)]
    everything = write_pairs(trees, tmp_path / "all", PairSettings(rule="all"))
    first = write_pairs(trees, tmp_path / "first", PairSettings(rule="all", at_most=4))
    again = write_pairs(trees, tmp_path / "again", PairSettings(rule="all", at_most=4))
    other = write_pairs(trees, tmp_path / "other", PairSettings(rule="all", at_most=4, seed=1))
    assert len(first) == len(other) == 4 < len(everything)
    assert first[:] == again[:]
    assert all(row in list(everything) for row in first)
    more = write_pairs(trees, tmp_path / "more", PairSettings(rule="all", at_most=10_000))
    assert more[:] == everything[:]
    with pytest.raises(ConfigError, match="at_most=-1"):
        PairSettings(at_most=-1)


def test_nothing_to_write_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no preference pair"):
        write_pairs([grown()], tmp_path / "pairs", PairSettings(minimum_gap=5))
