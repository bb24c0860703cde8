"""Frozen lists of tasks, each with a hash of its content; they hold ids and hashes, never a game.

``python -m agentq_envs.alfworld.panels`` checks the panels of the generated games against the generator;
``--write DIR`` writes them, ``--official FOLDER`` those of the official games of that folder instead.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from agentq.errors import DataError, TaskError
from agentq_data.alfworld.game_file import task_type_of
from agentq_data.alfworld.generator import GeneratedGames, scene_split

if TYPE_CHECKING:
    from agentq_envs.alfworld.games import Library

ENVIRONMENT = "agentq/ALFWorld-v0"
OFFICIAL_SPLITS: Mapping[str, int] = {"train": 3553, "valid_seen": 140, "valid_unseen": 134}
#: Panel of the generated games -> split of its scenes, number of tasks. "seen" are other games in rooms of
#: "train"; rooms of "validation" and "test" are in no other panel.
EMBEDDED: Mapping[str, tuple[str, int]] = {
    "train": ("train", 2000),
    "seen": ("train", 200),
    "validation": ("validation", 200),
    "test": ("test", 200),
}
_FOLDER = "panel_files"


@dataclass(frozen=True, slots=True)
class Panel:
    """Task ids of one split; every id carries a hash of its game, so a panel never runs on other games."""

    name: str
    tasks: tuple[str, ...]

    @property
    def hash(self) -> str:
        """SHA-256 of name, environment and tasks, in hex."""
        text = "\n".join([self.name, ENVIRONMENT, *self.tasks])
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def strata(self) -> dict[str, str]:
        """The task type of each task."""
        return {task: task_type_of(task) for task in self.tasks}

    def check(self, library: Library) -> Panel:
        """The panel itself; raises TaskError when a game is missing there or has another content."""
        for task in self.tasks:
            library.file(task)
        return self


def load_panel(name: str, library: Library | None = None) -> Panel:
    """A panel that ships with the package, or a panel file by its path; with a library checked against it.

    Raises TaskError for an unknown name, a hash that does not fit or games that are not the panel's, DataError
    for a broken file.
    """
    shipped = files("agentq_envs.alfworld") / _FOLDER / f"{name}.json"
    if not name.endswith(".json") and not shipped.is_file():
        raise TaskError(
            f"unknown panel {name!r}, expected one of {', '.join(panel_names())} or a .json path."
        )
    try:
        source = Path(name) if name.endswith(".json") else shipped
        record = json.loads(source.read_text(encoding="utf-8"))
        panel, stored = Panel(str(record["name"]), tuple(record["tasks"])), record["hash"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"panel {name!r} cannot be read ({type(error).__name__}: {error}). Make it again."
        ) from error
    if panel.hash != stored:
        raise TaskError(
            f"panel {name!r} was changed after it was frozen: its hash is {panel.hash[:12]}, the file says "
            f"{str(stored)[:12]}. Restore the file, or make a new panel under another name."
        )
    return panel if library is None else panel.check(library)


def panel_names() -> list[str]:
    """Names of the panels that ship with the package."""
    folder = files("agentq_envs.alfworld") / _FOLDER
    return sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if ".json" in entry.name)


def save_panel(panel: Panel, folder: Path) -> Path:
    """Write a panel file and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{panel.name}.json"
    record = {"name": panel.name, "environment": ENVIRONMENT, "hash": panel.hash, "tasks": list(panel.tasks)}
    path.write_text(json.dumps(record, indent=0) + "\n", encoding="utf-8")
    return path


def official_panels(library: Library) -> list[Panel]:
    """The official splits of a library that has all games of each, in the order of their ids.

    Raises TaskError when a split has not the published number of games.
    """
    panels: list[Panel] = []
    for split, count in OFFICIAL_SPLITS.items():
        ids = sorted(game_id for game_id in library.games.ids if game_id.startswith(f"{split}/"))
        if len(ids) != count:
            raise TaskError(
                f"{library.games.name} has {len(ids)} games of the split {split!r}, the benchmark has {count}. "
                "Complete the download."
            )
        panels.append(Panel(f"official-{split}", tuple(library.file(game_id).task_id for game_id in ids)))
    return panels


def embedded_panels(games: GeneratedGames | None = None) -> list[Panel]:
    """The panels of the generated games: the first ones whose scene belongs to the panel's split."""
    games = games or GeneratedGames()
    wanted = {name: count for name, (_, count) in EMBEDDED.items()}
    tasks: dict[str, list[str]] = {name: [] for name in EMBEDDED}
    for game in (games.game_at(index) for index in range(len(games))):
        split = scene_split(int(game.game_id.split("/")[1].rpartition("-")[2]))
        for name, (scenes, _) in EMBEDDED.items():
            if scenes == split and len(tasks[name]) < wanted[name]:
                tasks[name].append(game.task_id)
                break
        if all(len(tasks[name]) == wanted[name] for name in EMBEDDED):
            break
    return [Panel(f"embedded-{name}", tuple(found)) for name, found in tasks.items()]


def _report(panels: Iterable[Panel], write: Path | None) -> None:
    for panel in panels:
        if write is not None:
            save_panel(panel, write)
        elif load_panel(panel.name) != panel:
            raise TaskError(f"panel {panel.name!r} of the package has other tasks than these games give.")
        print(f"{panel.name}: {len(panel.tasks)} tasks, hash {panel.hash}")


def _main() -> None:
    from agentq_envs.alfworld.games import shared_library

    parser = argparse.ArgumentParser(prog="python -m agentq_envs.alfworld.panels", description=__doc__)
    parser.add_argument("--write", type=Path, metavar="DIR", help="write there instead of checking")
    parser.add_argument("--official", metavar="FOLDER", help="games of the benchmark, in folders or packed")
    arguments = parser.parse_args()
    chosen = official_panels(shared_library(arguments.official)) if arguments.official else embedded_panels()
    _report(chosen, arguments.write)


if __name__ == "__main__":
    _main()
