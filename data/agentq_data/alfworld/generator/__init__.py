"""Our own household games in ALFWorld's file format: any number, always solvable, each with a plan.

Game ``index`` of a seed is a function of (version, seed, index) alone. The six task types take turns; the
room is drawn, and ``scene_split`` says to which split its scene belongs, so that test rooms are never seen
in training.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from agentq.errors import DataError
from agentq_data.alfworld.game_file import PLACEHOLDER, GameFile, write_game
from agentq_data.alfworld.generator.layout import Layout, lay_out
from agentq_data.alfworld.generator.problem import plan, problem_text
from agentq_data.alfworld.generator.rooms import FIRST_SCENE, KINDS, SCENES_OF_A_KIND
from agentq_data.alfworld.generator.scenes import GAMES_VERSION, scene
from agentq_data.dice import Dice

__all__ = [
    "GAMES_VERSION",
    "GeneratedGames",
    "domain_text",
    "generate_game",
    "grammar_template",
    "scene_split",
    "write_games",
]

COLLECTION = "household"  # first part of the game ids
_ID = re.compile(r"household/[\w-]+-(\d+)/trial_(\d+)_(\d+)")
_MOST = 10**9


@lru_cache(maxsize=1)
def domain_text() -> str:
    """The PDDL domain of our games."""
    return (files("agentq_data.alfworld.generator") / "household.pddl").read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def grammar_template() -> str:
    """The TWL2 grammar of our games; ``UNKNOWN GOAL`` stands for the goal phrase."""
    return (files("agentq_data.alfworld.generator") / "household.twl2").read_text(encoding="utf-8")


def scene_split(number: int) -> str:
    """ "test" for the last three scenes of a kind of room, "validation" for the three before, else "train"."""
    left = SCENES_OF_A_KIND - number % 100
    return "test" if left < 3 else "validation" if left < 6 else "train"


def generate_game(seed: int, index: int) -> GameFile:
    """Game ``index`` of a seed. Raises DataError for numbers out of range."""
    layout = _layout(seed, index)
    phrase = layout.task.phrases[index // len(KINDS) % 2]
    goal = phrase.format(o=layout.wanted.lower(), t=layout.target.lower())
    folder = f"{layout.task.name}-{layout.wanted}-None-{layout.target}-{layout.scene.number}"
    trial = f"trial_{seed}_{index:06}"
    return GameFile(
        f"{COLLECTION}/{folder}/{trial}",
        domain_text(),
        grammar_template().replace(PLACEHOLDER, goal),
        problem_text(layout, trial),
        goal,
        True,
        plan(layout),
    )


class GeneratedGames:
    """The games of one seed as a collection: made when asked for, the same everywhere."""

    def __init__(self, seed: int = 0, count: int = 10_000) -> None:
        _check(seed, count - 1)
        self.seed = seed
        self._count = count

    @property
    def name(self) -> str:
        """What provenance calls this collection."""
        return f"generated v{GAMES_VERSION} seed {self.seed}"

    @property
    def ids(self) -> Sequence[str]:
        """Game ids in order; each game is made for it, so this takes a while."""
        return [generate_game(self.seed, index).game_id for index in range(self._count)]

    def __len__(self) -> int:
        return self._count

    def game_at(self, index: int) -> GameFile:
        """The game at a position. Raises IndexError beyond the last."""
        if not 0 <= index < self._count:
            raise IndexError(index)
        return generate_game(self.seed, index)

    def load(self, game_id: str) -> GameFile:
        """The game of that id. Raises KeyError for an id that no game of this seed has."""
        found = _ID.fullmatch(game_id)
        if found is None or int(found[2]) != self.seed or int(found[3]) > _MOST:
            raise KeyError(game_id)
        game = generate_game(self.seed, int(found[3]))
        if game.game_id != game_id:
            raise KeyError(game_id)
        return game


def write_games(root: Path, count: int, seed: int = 0, first: int = 0) -> Iterator[Path]:
    """Write games into folders that the stock loader reads; yields the path of each game file."""
    _check(seed, first + count - 1)
    for index in range(first, first + count):
        yield write_game(generate_game(seed, index), root)


def _layout(seed: int, index: int) -> Layout:
    _check(seed, index)
    task = KINDS[index % len(KINDS)]
    dice = Dice(f"agentq household {GAMES_VERSION}, seed {seed}, game {index}")
    while True:  # a room may lack what the task needs; then another one is drawn
        number = FIRST_SCENE[dice.pick(task.rooms)] + dice.below(SCENES_OF_A_KIND)
        if (layout := lay_out(scene(seed, number), task, dice)) is not None:
            return layout


def _check(seed: int, index: int) -> None:
    for name, value in (("seed", seed), ("index", index)):
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST:
            raise DataError(f"{name}={value!r}: expected a whole number from 0 to {_MOST}. Pass such a one.")
