"""Where games come from: our generator, folders of the benchmark, packed folders; and games by task id."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol, runtime_checkable

from agentq.errors import TaskError
from agentq_data.alfworld.folders import FolderGames, official_folder
from agentq_data.alfworld.game_file import GameFile, game_id_of
from agentq_data.alfworld.generator import GeneratedGames
from agentq_data.alfworld.packed import PackedGames, is_packed
from agentq_envs.alfworld.game import Game, build_game

_KEPT = 64  # built games of one collection; building one takes one to five milliseconds
OFFICIAL = "official"


@runtime_checkable
class Games(Protocol):
    """A collection of games; ``load`` raises KeyError for an id that it does not have."""

    @property
    def name(self) -> str:
        """What provenance calls the collection."""
        ...

    @property
    def ids(self) -> Sequence[str]:
        """All game ids in a fixed order."""
        ...

    def load(self, game_id: str) -> GameFile:
        """The game of that id."""
        ...


class Library:
    """A collection with its tasks: each task is one game, named with a hash of its content."""

    def __init__(self, games: Games) -> None:
        self.games = games
        self._ids: list[str] | None = None
        self._built: OrderedDict[str, Game] = OrderedDict()

    def __len__(self) -> int:
        if isinstance(self.games, GeneratedGames):
            return len(self.games)
        return len(self._all_ids())

    def file(self, task: str) -> GameFile:
        """The game file of a task id or a game id.

        Raises TaskError when there is no such game, or when its content is not what the id's hash says.
        """
        game_id, digits = game_id_of(str(task))
        try:
            game = self.games.load(game_id)
        except KeyError as error:
            raise TaskError(
                f"unknown task {str(task)[:200]!r} in the games of {self.games.name}. Task ids are "
                "alfworld:<split>/<task folder>/<trial>:<hash>; Library.task_at(index) gives them."
            ) from error
        if digits and digits != game.content_hash:
            raise TaskError(
                f"task {task!r} has another content here (hash {game.content_hash}): the games are others than "
                "those the task was named on. Restore the game files, or use tasks of these games."
            )
        return game

    def file_at(self, index: int) -> GameFile:
        """The game file at a position. Raises TaskError beyond the last."""
        if not 0 <= index < len(self):
            raise TaskError(f"game {index} is out of range, {self.games.name} has {len(self)} games.")
        if isinstance(self.games, GeneratedGames):
            return self.games.game_at(index)
        return self.games.load(self._all_ids()[index])

    def task_at(self, index: int) -> str:
        """The task id at a position."""
        return self.file_at(index).task_id

    def game(self, file: GameFile) -> Game:
        """The built game of a file; the last ones are kept. Raises DataError for unknown rules."""
        key = file.task_id
        if key in self._built:
            self._built.move_to_end(key)
            return self._built[key]
        game = self._built[key] = build_game(file)
        if len(self._built) > _KEPT:
            self._built.popitem(last=False)
        return game

    def _all_ids(self) -> list[str]:
        if self._ids is None:
            self._ids = list(self.games.ids)
        return self._ids


def find_games(games: str | Path | Games | None = None, seed: int = 0) -> Games:
    """The collection that an argument means.

    None: our generated games of that seed. "official": ``$ALFWORLD_DATA/json_2.1.1``. A path: a folder of
    games, one ``game.tw-pddl``, or a packed folder. Raises ConfigError or DataError when nothing is there.
    """
    if games is None:
        return GeneratedGames(seed)
    if isinstance(games, str | Path):
        folder = official_folder() if games == OFFICIAL else Path(games)
        return PackedGames(folder) if is_packed(folder) else FolderGames(folder)
    return games


def shared_library(games: str | Path | Games | None = None, seed: int = 0) -> Library:
    """The library of a collection; environments of a process on the same games share one."""
    if games is None or isinstance(games, str | Path):
        resolved = games if games is None or games == OFFICIAL else Path(games).resolve()
        return _shared(resolved, official_folder() if games == OFFICIAL else None, seed)
    return Library(games)


@lru_cache(maxsize=16)
def _shared(games: str | Path | None, release: Path | None, seed: int) -> Library:
    return Library(find_games(release or games, seed))
