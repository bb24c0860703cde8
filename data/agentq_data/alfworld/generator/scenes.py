"""Rooms: which receptacles stand in a scene and from which place the agent reaches each.

A scene is a function of the generator's version, its seed and the scene's number alone; objects are laid
out anew in every game.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from agentq.errors import DataError
from agentq_data.alfworld.generator.rooms import (
    CLOSE_TOGETHER,
    FIRST_SCENE,
    FURNITURE,
    SCENES_OF_A_KIND,
)
from agentq_data.dice import Dice

GAMES_VERSION = 1  # raised whenever the same seed gives other games
_SHARED = 0.2  # of the receptacles that may, how many share the place of the one before
#: What the raw ids of basins are made of: the object that they belong to.
_BASIN_OF = {"SinkBasin": "Sink", "BathtubBasin": "Bathtub"}


@dataclass(frozen=True, slots=True)
class Receptacle:
    """A piece of furniture and the place from which it is reached."""

    kind: str
    raw_id: str
    location: str


@dataclass(frozen=True, slots=True)
class Scene:
    """A room; the agent begins at ``start``, where no receptacle is."""

    number: int
    kind: str
    start: str
    receptacles: tuple[Receptacle, ...]


def room_kind(number: int) -> str:
    """The kind of room of a scene number. Raises DataError for a number of no scene."""
    for kind, first in FIRST_SCENE.items():
        if first <= number < first + SCENES_OF_A_KIND:
            return kind
    ranges = ", ".join(f"{first}-{first + SCENES_OF_A_KIND - 1}" for first in FIRST_SCENE.values())
    raise DataError(f"there is no scene {number}, expected one of {ranges}. Pass such a number.")


@lru_cache(maxsize=256)
def scene(seed: int, number: int) -> Scene:
    """The room of that number; the same everywhere."""
    kind = room_kind(number)
    dice = Dice(f"agentq household {GAMES_VERSION}, seed {seed}, scene {number}")
    places = Places(dice)
    receptacles: list[Receptacle] = []
    for furniture, (fewest, most) in FURNITURE[kind].items():
        location = ""
        for _ in range(max(0, dice.between(fewest, most))):
            shared = location and furniture in CLOSE_TOGETHER and dice.chance(_SHARED)
            location = location if shared else places.location()
            receptacles.append(Receptacle(furniture, places.raw_id(furniture), location))
    return Scene(number, kind, places.location(), tuple(receptacles))


class Places:
    """Draws raw ids and locations in the form of the official ones, each only once."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._used: set[str] = set()

    def raw_id(self, kind: str) -> str:
        """E.g. ``Mug_bar__plus_01_dot_10_bar__plus_00_dot_90_bar__minus_02_dot_00``."""
        while True:
            name = _BASIN_OF.get(kind, kind)
            parts = [name, *(self._metres() for _ in range(3)), *([kind] if kind in _BASIN_OF else [])]
            if self._is_new(raw := "_bar_".join(parts)):
                return raw

    def location(self) -> str:
        """E.g. ``loc_bar_2_bar__minus_4_bar_0_bar_30``: a place, a direction and a tilt of the head."""
        while True:
            steps = [self._dice.between(-12, 12) for _ in range(2)]
            turned = [self._dice.below(4), self._dice.pick((0, 15, 30, 45, 60))]
            if self._is_new(raw := "_bar_".join(["loc", *map(_whole, [*steps, *turned])])):
                return raw

    def _metres(self) -> str:
        value = self._dice.between(-299, 299)
        sign = "_minus_" if value < 0 else "_plus_"
        return f"{sign}{abs(value) // 100:02}_dot_{abs(value) % 100:02}"

    def _is_new(self, raw: str) -> bool:
        if raw in self._used:
            return False
        self._used.add(raw)
        return True


def _whole(value: int) -> str:
    return f"_minus_{-value}" if value < 0 else str(value)
