"""One ALFWorld game as it is stored: domain, grammar, problem, and what its place in a folder says.

A ``game.tw-pddl`` is a JSON object with exactly the keys ``pddl_domain``, ``grammar``, ``pddl_problem``,
``solvable`` and ``walkthrough``; task type, object and scene stand in the name of its folder:
``<split>/<type>-<Object>-<Movable or None>-<Target>-<scene>/trial_<id>/game.tw-pddl``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentq.errors import DataError

FILE_NAME = "game.tw-pddl"
PLACEHOLDER = "UNKNOWN GOAL"  # stands for the goal phrase in a grammar
#: The six task types of the benchmark, by their official numbers 1 to 6.
TASK_TYPES = (
    "pick_and_place_simple",
    "look_at_obj_in_light",
    "pick_clean_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_two_obj_and_place",
)
_KEYS = ("pddl_domain", "grammar", "pddl_problem", "solvable", "walkthrough")
_SENTENCE = re.compile(r"Your task is to: (.*?)\.?\"")
_PREFIX = "alfworld:"


@dataclass(frozen=True, slots=True)
class GameFile:
    """One game. ``game_id`` is ``<split>/<task folder>/<trial folder>``."""

    game_id: str
    domain: str
    grammar: str  # with the goal phrase in place
    problem: str
    goal_text: str  # e.g. "put a mug in desk"
    solvable: bool | None = None
    walkthrough: tuple[str, ...] | None = None

    @property
    def task_type(self) -> str:
        """Which of ``TASK_TYPES`` it is, by its folder's name."""
        return task_type_of(self.game_id)

    @property
    def task_id(self) -> str:
        """``alfworld:<game id>:<8 hex digits>``; the digits are a hash of problem and goal phrase."""
        return f"{_PREFIX}{self.game_id}:{self.content_hash}"

    @property
    def content_hash(self) -> str:
        """First 8 hex digits of the SHA-256 of goal phrase and problem."""
        return hashlib.sha256(f"{self.goal_text}\n{self.problem}".encode()).hexdigest()[:8]

    def to_json(self) -> dict[str, Any]:
        """The content of a ``game.tw-pddl``."""
        return {
            "pddl_domain": self.domain,
            "grammar": self.grammar,
            "pddl_problem": self.problem,
            "solvable": self.solvable,
            "walkthrough": None if self.walkthrough is None else list(self.walkthrough),
        }


def task_type_of(game_id: str) -> str:
    """The task type that a game id names. Raises DataError when it names none of ``TASK_TYPES``."""
    for name in game_id.split("/"):
        kind = name.partition("-")[0]
        if kind in TASK_TYPES:
            return kind
    raise DataError(
        f"{game_id!r} names no task type, expected a folder such as {TASK_TYPES[0]}-Mug-None-Desk-308. "
        "Keep the folders of a game as the generator of the game named them."
    )


def game_id_of(task: str) -> tuple[str, str]:
    """The game id and the content hash ("" without one) of a task id; a bare game id is one too."""
    bare = task.removeprefix(_PREFIX)
    game_id, colon, digits = bare.rpartition(":")
    return (game_id, digits) if colon else (bare, "")


def parse_game(record: Mapping[str, Any], game_id: str, origin: str) -> GameFile:
    """A game from the content of its file. Raises DataError that names ``origin`` for any other content."""
    if set(record) != set(_KEYS):
        raise DataError(
            f"{origin}: has the keys {sorted(record)}, expected exactly {sorted(_KEYS)}. Give a {FILE_NAME} file."
        )
    for key in _KEYS[:3]:
        if not isinstance(record[key], str):
            raise DataError(
                f"{origin}: {key} is {type(record[key]).__name__}, expected a text. Make the game again."
            )
    found = _SENTENCE.search(record["grammar"])
    if found is None:
        raise DataError(
            f"{origin}: the grammar has no sentence 'Your task is to: ...', from which the goal phrase is read. "
            "Make the game again with the current generator of ALFWorld."
        )
    return GameFile(
        game_id,
        record["pddl_domain"],
        record["grammar"],
        record["pddl_problem"],
        found[1],
        record["solvable"],
        None if record["walkthrough"] is None else tuple(record["walkthrough"]),
    )


def read_game(path: Path) -> GameFile:
    """The game of a ``game.tw-pddl`` file; its id is its last three folders. Raises DataError."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot read the game ({error}). Give a {FILE_NAME} file.") from error
    if not isinstance(record, dict):
        raise DataError(
            f"{path}: holds {type(record).__name__}, expected a JSON object. Give a {FILE_NAME} file."
        )
    return parse_game(record, "/".join(path.resolve().parent.parts[-3:]), str(path))


def write_game(game: GameFile, root: Path) -> Path:
    """Write ``root/<game id>/game.tw-pddl`` and the ``traj_data.json`` that the stock loader asks for."""
    folder = root / game.game_id
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / FILE_NAME
        path.write_text(json.dumps(game.to_json()), encoding="utf-8")
        (folder / "traj_data.json").write_text(json.dumps(trajectory_record(game.game_id)), encoding="utf-8")
    except OSError as error:
        raise DataError(f"{folder}: cannot write the game ({error}). Name a writable folder.") from error
    return path


def trajectory_record(game_id: str) -> dict[str, Any]:
    """What the stock loader reads of ``traj_data.json``, from the name of the task's folder."""
    task_folder = game_id.split("/")[-2]
    kind, target_object, movable, target, scene = task_folder.split("-")
    lamp = kind == TASK_TYPES[1]
    return {
        "task_type": kind,
        "pddl_params": {
            "object_target": target_object,
            "parent_target": "" if lamp else target,
            "toggle_target": target if lamp else "",
            "mrecep_target": "" if movable == "None" else movable,
            "object_sliced": False,
        },
        "scene": {"scene_num": int(scene)},
    }
