"""Games packed into one file per split: the common domain and grammar once, one line per game.

A folder of packed games holds ``logic_official.json`` (``pddl_domain``, ``grammar_template``,
``task_placeholder``) and ``<split>.jsonl.xz`` with ``game_id``, ``task``, ``pddl_problem``, ``solvable`` and
``walkthrough`` on every line.
"""

from __future__ import annotations

import json
import lzma
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentq.errors import DataError
from agentq_data.alfworld.game_file import PLACEHOLDER, GameFile

LOGIC_FILE = "logic_official.json"
SPLITS = ("train", "valid_seen", "valid_unseen")
_SUFFIX = ".jsonl.xz"


@dataclass(frozen=True, slots=True)
class _Logic:
    domain: str
    grammar: str
    placeholder: str


class PackedGames:
    """The games of a packed folder. A split is read whole on first use and kept compressed game by game."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._logic = _read_logic(self.root / LOGIC_FILE)
        self._splits: dict[str, dict[str, bytes]] = {}

    @property
    def name(self) -> str:
        """What provenance calls this collection."""
        return f"packed {self.root.name}"

    @property
    def ids(self) -> Sequence[str]:
        """Game ids of all splits, each in the order of its file."""
        return [game_id for split in self.splits for game_id in self._split(split)]

    @property
    def splits(self) -> list[str]:
        """Names of the splits whose files are there."""
        return [split for split in SPLITS if (self.root / f"{split}{_SUFFIX}").is_file()]

    def load(self, game_id: str) -> GameFile:
        """The game of that id. Raises KeyError for an unknown one, DataError for a broken file."""
        split = game_id.partition("/")[0]
        if split not in self.splits:
            raise KeyError(game_id)
        row: dict[str, Any] = json.loads(zlib.decompress(self._split(split)[game_id]))
        logic = self._logic
        return GameFile(
            game_id,
            logic.domain,
            logic.grammar.replace(logic.placeholder, row["task"]),
            row["pddl_problem"],
            row["task"],
            row["solvable"],
            None if row["walkthrough"] is None else tuple(row["walkthrough"]),
        )

    def _split(self, split: str) -> dict[str, bytes]:
        if split not in self._splits:
            self._splits[split] = _read_split(self.root / f"{split}{_SUFFIX}")
        return self._splits[split]


def is_packed(folder: Path) -> bool:
    """Whether a folder holds packed games."""
    return (folder / LOGIC_FILE).is_file()


def _read_logic(path: Path) -> _Logic:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return _Logic(
            record["pddl_domain"], record["grammar_template"], record.get("task_placeholder", PLACEHOLDER)
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: no logic of packed games ({type(error).__name__}: {error}). Restore the file."
        ) from error


def _read_split(path: Path) -> dict[str, bytes]:
    """Each line compressed by itself: a game is then had without unpacking the 190 MB of a split."""
    try:
        with lzma.open(path, "rb") as lines:
            packed: dict[str, bytes] = {}
            for line in lines:
                packed[_game_id(line)] = zlib.compress(line, 1)
            return packed
    except (OSError, EOFError, lzma.LZMAError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: no packed games ({type(error).__name__}: {error}). Restore the file."
        ) from error


def _game_id(line: bytes) -> str:
    """The game id of a line; it is its first key, so that the long problem need not be parsed."""
    head = b'{"game_id": "'
    if line.startswith(head):
        return line[len(head) : line.index(b'"', len(head))].decode()
    return str(json.loads(line)["game_id"])
