"""Games in folders as the benchmark ships them: ``$ALFWORLD_DATA/json_2.1.1/<split>/<task>/<trial>``."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from agentq.errors import ConfigError, DataError
from agentq_data.alfworld.game_file import FILE_NAME, GameFile, read_game

VARIABLE = "ALFWORLD_DATA"
RELEASE = "json_2.1.1"
_SOLVABLE = re.compile(rb'"solvable"\s*:\s*true')
_LEFT_OUT = ("movable", "Sliced")  # task folders that the stock loader skips


def official_folder() -> Path:
    """The folder of the official games, by the variable ``ALFWORLD_DATA``.

    Raises ConfigError when it is not set, DataError when there is no such folder.
    """
    chosen = os.environ.get(VARIABLE)
    if not chosen:
        raise ConfigError(
            f"{VARIABLE} is not set, so the official games cannot be found. Set it to the folder that holds "
            f"{RELEASE}/, or name a folder of games."
        )
    folder = Path(chosen) / RELEASE
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder. Set {VARIABLE} to the folder that holds {RELEASE}/.")
    return folder


class FolderGames:
    """All games below a folder: sorted by path, those that the stock loader skips left out.

    Those are games of folders with "movable" or "Sliced" in their name, and games not marked solvable.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        if not self.root.exists():
            raise DataError(f"{self.root} does not exist. Name a folder of games or a {FILE_NAME} file.")
        self._paths: dict[str, Path] | None = None

    @property
    def name(self) -> str:
        """What provenance calls this collection."""
        return f"folder {self.root.name}"

    @property
    def ids(self) -> Sequence[str]:
        """Game ids in order; the first use looks through the folder."""
        return list(self._found())

    def load(self, game_id: str) -> GameFile:
        """The game of that id. Raises KeyError for an unknown one, DataError for a broken file."""
        if self._paths is None and self.root.is_dir() and ".." not in game_id.split("/"):
            # A whole release is looked through only where the id does not lead to the file at once.
            for path in (self.root / game_id / FILE_NAME, self.root.parent / game_id / FILE_NAME):
                if path.is_file() and self.root in path.parents and _played(path, self.root):
                    game = read_game(path)
                    if game.game_id == game_id:
                        return game
        return read_game(self._found()[game_id])

    def _found(self) -> dict[str, Path]:
        if self._paths is None:
            files = [self.root] if self.root.is_file() else sorted(self.root.rglob(FILE_NAME))
            kept = [path for path in files if len(files) == 1 or _played(path, self.root)]
            self._paths = {"/".join(path.resolve().parent.parts[-3:]): path for path in kept}
            if not kept:
                raise DataError(f"{self.root} holds no {FILE_NAME} that is solvable. Name a folder of games.")
        return self._paths


def _played(path: Path, root: Path) -> bool:
    inside = str(path.relative_to(root))
    return not any(word in inside for word in _LEFT_OUT) and bool(_SOLVABLE.search(path.read_bytes()))
