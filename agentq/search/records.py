"""Trees as JSON lines: one line per tree, appended when it is done, read back as the same tree.

A process that is killed leaves at most one torn line at the end; reading passes over it and writing cuts it off.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from agentq.errors import LogError
from agentq.provenance import package_versions
from agentq.search.tree import Node, Tree
from agentq.search.worlds import State

FORMAT = 1


def tree_record(tree: Tree) -> dict[str, Any]:
    """The tree as plain JSON types. Messages are kept where a decision was made: in nodes with children."""
    numbers = {id(node): number for number, node in enumerate(tree.root.preorder())}
    return {
        "format": FORMAT,
        "task": tree.task,
        "seed": tree.seed,
        "iterations": tree.iterations,
        "stopped": tree.stopped,
        "best_path": tree.best_path(),
        "best_reward": tree.best_reward(),
        "best_reward_with_rollouts": tree.best_reward(rollouts=True),
        "metadata": tree.metadata,
        "nodes": [_node_record(node, numbers) for node in tree.root.preorder()],
    }


def tree_of(record: Mapping[str, Any]) -> Tree:
    """The tree of a record, without its rollouts. Raises ``LogError`` for another or a newer format."""
    if record.get("format", 0) > FORMAT or "nodes" not in record:
        raise LogError(
            f"a tree has format {record.get('format')!r}, this version reads up to {FORMAT}. Upgrade agentq, or check "
            "that the file holds search trees."
        )
    nodes: list[Node] = []
    for entry in record["nodes"]:
        parent = None if entry["parent"] is None else nodes[entry["parent"]]
        node = _node(entry, parent)
        if parent is not None:
            parent.children.append(node)
        nodes.append(node)
    return Tree(
        record["task"], record["seed"], nodes[0], iterations=record["iterations"],
        stopped=record["stopped"], metadata=dict(record["metadata"]),
    )  # fmt: skip


class TreeWriter:
    """Appends trees to a file; ``tasks`` are those it holds already. Versions are noted in every tree."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        whole, self.tasks = 0, set[tuple[str, int]]()
        if self.path.exists():
            for end, record in _lines(self.path):
                whole = end
                self.tasks.add((record["task"], record["seed"]))
        self._file = self.path.open("ab")
        self._file.truncate(whole)
        self._versions = package_versions()

    def write(self, tree: Tree) -> None:
        """Append one tree and flush it."""
        tree.metadata.setdefault("versions", self._versions)
        line = json.dumps(tree_record(tree), ensure_ascii=False, allow_nan=False)
        self._file.write(line.encode() + b"\n")
        self._file.flush()
        self.tasks.add((tree.task, tree.seed))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> TreeWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def read_trees(path: str | Path) -> Iterator[Tree]:
    """The trees of a file in order. Raises ``LogError`` for a file that cannot be read or is damaged inside."""
    for _, record in _lines(Path(path)):
        yield tree_of(record)


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each whole record, and where it ends in bytes."""
    end, torn = 0, False
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if torn:
                    raise LogError(
                        f"{path}, line {number - 1} is no JSON. Restore the file, or cut that line out."
                    )
                end += len(line)
                try:
                    record = json.loads(line)
                except ValueError:
                    torn = True
                    continue
                yield end, record
    except OSError as error:
        raise LogError(f"{path} cannot be read: {error}. Expected a file of search trees.") from error


def _node_record(node: Node, numbers: Mapping[int, int]) -> dict[str, Any]:
    record: dict[str, Any] = {
        "parent": None if node.parent is None else numbers[id(node.parent)],
        "action": node.action,
        "text": node.text,
        "visits": node.visits,
        "value": node.value,
        "reward": node.reward,
        "terminal": node.terminal,
        "q": node.q,
        "count": node.count,
        "observation": node.state.observation,
        "info": dict(node.state.info),
    }
    if node.children:
        record["messages"] = [dict(message) for message in node.state.messages]
    return record


def _node(entry: Mapping[str, Any], parent: Node | None) -> Node:
    before = () if parent is None else parent.state.actions
    actions = before if entry["action"] is None else (*before, entry["action"])
    state = State(
        messages=tuple(entry.get("messages", ())),
        observation=entry["observation"],
        reward=entry["reward"],
        ended=entry["terminal"],
        actions=actions,
        info=entry["info"],
    )
    place = "0" if parent is None else f"{parent.name}.{len(parent.children)}"
    return Node(
        state, parent, entry["action"], entry["text"], entry["visits"], entry["value"], entry["reward"],
        entry["terminal"], entry["q"], count=entry["count"], name=place,
        depth=0 if parent is None else parent.depth + 1,
    )  # fmt: skip
