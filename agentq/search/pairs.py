"""Preference pairs out of search trees: in one state, a better and a worse reply."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from agentq.errors import ConfigError, TrainingError
from agentq.provenance import package_versions
from agentq.search.tree import Node, Tree
from agentq.types import Message

#: official: at every depth of the best trajectory the sibling of largest against the one of smallest value;
#: path: the action of the trajectory itself against the smallest; all: every two siblings of every node.
PairRule = Literal["official", "path", "all"]
PROVENANCE = "provenance.json"


@dataclass(frozen=True, slots=True)
class PairSettings:
    """Which siblings become a pair, and how the state is written."""

    rule: PairRule = "official"
    minimum_gap: float = 0.0  # of the two values; a pair needs more. The published code has no threshold
    minimum_visits: int = 0  # of both; the published code also takes siblings that were never visited
    #: messages: the prompt that the environment renders, as a critic meets it; transcript: the root's messages and
    #: every action and observation since.
    prompt: Literal["messages", "transcript"] = "messages"
    drop_examples: bool = False  # of a transcript keep the first two turns and the task, as published
    at_most: int = 0  # pairs in all, drawn by the seed; 0: no limit
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rule not in ("official", "path", "all"):
            raise ConfigError(f"rule={self.rule!r}: expected 'official', 'path' or 'all'.")
        if self.minimum_gap < 0 or self.minimum_visits < 0 or self.at_most < 0:
            raise ConfigError(
                f"minimum_gap={self.minimum_gap}, minimum_visits={self.minimum_visits}, at_most={self.at_most}: "
                "expected 0 or more."
            )


@dataclass(frozen=True, slots=True)
class Pair:
    """Two replies in one state, from one tree."""

    prompt: tuple[Message, ...]
    chosen: Node
    rejected: Node

    @property
    def gap(self) -> float:
        """How much more the chosen reply is worth."""
        return self.chosen.value - self.rejected.value

    def row(self, tree: Tree) -> dict[str, Any]:
        """The columns that trl reads (prompt, chosen, rejected), and where the pair is from."""
        return {
            "prompt": [dict(message) for message in self.prompt],
            "chosen": [{"role": "assistant", "content": reply(self.chosen)}],
            "rejected": [{"role": "assistant", "content": reply(self.rejected)}],
            "chosen_action": self.chosen.action,
            "rejected_action": self.rejected.action,
            "task": tree.task,
            "seed": tree.seed,
            "depth": self.chosen.depth,
            "chosen_value": self.chosen.value,
            "rejected_value": self.rejected.value,
            "chosen_visits": self.chosen.visits,
            "rejected_visits": self.rejected.visits,
        }


def reply(node: Node) -> str:
    """The whole text that led to a node."""
    return node.text or node.action or ""


def tree_pairs(tree: Tree, settings: PairSettings | None = None) -> Iterator[Pair]:
    """The pairs of a tree, from the root downwards; none where no tree node has a positive reward (unless "all")."""
    settings = settings or PairSettings()
    if settings.rule == "all":
        for node in tree.root.preorder():
            yield from _all_pairs(node, settings)
        return
    node = tree.root
    for index in tree.best_path():
        children = _visited(node.children, settings)
        step = node.children[index]
        if children and (settings.rule == "official" or step in children):
            worst = min(children, key=lambda child: child.value)
            best = max(children, key=lambda child: child.value) if settings.rule == "official" else step
            distinct = best is not worst and (settings.rule == "official" or best.value > worst.value)
            if distinct and _gap_enough(best, worst, settings):
                yield Pair(prompt_of(node, settings), best, worst)
        node = step


def prompt_of(node: Node, settings: PairSettings) -> tuple[Message, ...]:
    """The state of a node as messages."""
    if settings.prompt == "messages":
        return tuple(node.state.messages)
    path = node.path()
    start = tuple(path[0].state.messages)
    if settings.drop_examples and len(start) > 3:
        start = (*start[:2], start[-1])
    turns: list[Message] = list(start)
    for step in path[1:]:
        turns.append({"role": "assistant", "content": reply(step)})
        turns.append({"role": "user", "content": step.state.observation})
    return tuple(turns)


def write_pairs(
    trees: Iterable[Tree],
    folder: str | Path,
    settings: PairSettings | None = None,
    *,
    source: Path | None = None,
) -> Any:
    """Write the pairs of ``trees`` as a ``datasets`` folder and return the ``datasets.Dataset``.

    ``provenance.json`` beside it holds the settings, the hash of ``source`` (the file of trees), counts, the hash of
    the rows, and package versions. Raises ``TrainingError`` where no tree has a pair.
    """
    settings = settings or PairSettings()
    rows: list[dict[str, Any]] = []
    searched = with_pairs = 0
    for tree in trees:
        found = [pair.row(tree) for pair in tree_pairs(tree, settings)]
        rows += found
        searched, with_pairs = searched + 1, with_pairs + bool(found)
    if not rows:
        raise TrainingError(
            f"{searched} trees have no preference pair with {settings}. Search more tasks or iterations, or lower "
            "minimum_gap and minimum_visits."
        )
    rows = at_most(rows, settings.at_most, settings.seed)
    about = {
        "settings": asdict(settings),
        "trees": searched,
        "trees_with_pairs": with_pairs,
        "source": None if source is None else source.name,
        "source_sha256": None if source is None else hashlib.sha256(source.read_bytes()).hexdigest(),
    }
    return save_rows(rows, folder, about)


def at_most(rows: list[dict[str, Any]], limit: int, seed: int) -> list[dict[str, Any]]:
    """All rows, or ``limit`` of them drawn by ``seed``; 0: no limit."""
    return random.Random(seed).sample(rows, limit) if 0 < limit < len(rows) else rows


def save_rows(rows: Sequence[dict[str, Any]], folder: str | Path, about: dict[str, Any]) -> Any:
    """Save the rows of pairs as a ``datasets`` folder with ``about``, counts, hash and versions as its provenance."""
    from datasets import Dataset

    folder = Path(folder)
    dataset = Dataset.from_list(list(rows))
    about = {**about, "pairs": len(rows), "rows_sha256": pairs_hash(rows), "versions": package_versions()}
    dataset.info.description = json.dumps(about)
    dataset.save_to_disk(str(folder))
    (folder / PROVENANCE).write_text(json.dumps(about, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return dataset


def pairs_hash(rows: Iterable[dict[str, Any]]) -> str:
    """SHA-256 of the rows in order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()


def _all_pairs(node: Node, settings: PairSettings) -> Iterator[Pair]:
    children = _visited(node.children, settings)
    prompt = prompt_of(node, settings) if len(children) > 1 else ()
    for better in children:
        for worse in children:
            if better.value > worse.value and _gap_enough(better, worse, settings):
                yield Pair(prompt, better, worse)


def _visited(children: Sequence[Node], settings: PairSettings) -> list[Node]:
    return [child for child in children if child.visits >= settings.minimum_visits]


def _gap_enough(better: Node, worse: Node, settings: PairSettings) -> bool:
    return settings.minimum_gap == 0 or better.value - worse.value > settings.minimum_gap
