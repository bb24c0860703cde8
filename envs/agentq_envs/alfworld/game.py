"""One game as the simulator plays it: things by number, in the order in which texts list them.

Things are numbered in the alphabetical order of their raw ids, which is the order of every list that the
original engine prints.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from agentq.errors import DataError
from agentq_data.alfworld.game_file import GameFile
from agentq_data.alfworld.naming import player_names
from agentq_envs.alfworld.goals import Goal, read_goal
from agentq_envs.alfworld.pddl import Fact, read_problem
from agentq_envs.alfworld.rules import Rules, rules_of

#: Facts of one object that never change, and those that do.
_ABILITIES = (
    "pickupable",
    "cleanable",
    "heatable",
    "coolable",
    "sliceable",
    "toggleable",
    "isreceptacleobject",
)
_CHANGING = ("isclean", "ishot", "iscool", "istoggled", "issliced")
#: Facts that no command and no text depends on.
_IGNORED = ("moveable", "ison", "checked", "examined", "full", "wasinreceptacle", "holdsanyreceptacleobject",
            "isreceptacleobjectfull")  # fmt: skip
KNIVES = frozenset({"knifetype", "butterknifetype"})
Bits = int  # a set of object or receptacle numbers: bit i stands for number i


@dataclass(frozen=True, slots=True)
class State:
    """Everything that changes in a game; a value, so that it can be kept, compared and shared."""

    location: int
    holding: tuple[int, ...]
    inside: tuple[tuple[int, ...], ...]  # per receptacle the objects in it
    at: tuple[tuple[int, ...], ...]  # per object the locations at which it is registered
    opened: Bits  # receptacles
    clean: Bits  # objects
    hot: Bits
    cool: Bits
    used: Bits  # lamps that were ever switched on
    sliced: Bits
    taken: frozenset[tuple[int, int]]  # (object, receptacle): taken out of it and not put back


@dataclass(frozen=True)
class Game:
    """What never changes in a game. ``holders`` are receptacles, in all sequences numbered as in ``State``."""

    game_id: str
    task_id: str
    goal_text: str
    goal: Goal
    rules: Rules
    walkthrough: tuple[str, ...] | None
    objects: tuple[str, ...]  # names
    object_types: tuple[str, ...]
    receptacles: tuple[str, ...]  # names
    receptacle_types: tuple[str, ...]
    places: tuple[int, ...]  # per receptacle the location from which it is reached
    openable: Bits
    abilities: Mapping[str, Bits]
    can_contain: frozenset[tuple[str, str]]  # (receptacle type, object type)
    contents: Mapping[int, tuple[int, ...]]  # what lies in a hollow object
    start: State

    @cached_property
    def here(self) -> tuple[tuple[int, ...], ...]:
        """Per location the receptacles that are reached from it."""
        found: list[list[int]] = [[] for _ in range(max([self.start.location, *self.places]) + 1)]
        for receptacle, place in enumerate(self.places):
            found[place].append(receptacle)
        return tuple(map(tuple, found))

    @cached_property
    def holders(self) -> tuple[tuple[int, ...], ...]:
        """Per object the receptacles that may hold it."""
        return tuple(
            tuple(
                r for r, kind in enumerate(self.receptacle_types) if (kind, object_type) in self.can_contain
            )
            for object_type in self.object_types
        )

    @cached_property
    def devices(self) -> Mapping[str, tuple[int, ...]]:
        """Per change ("clean", "hot", "cool") the receptacles that bring it about."""
        return {
            change: tuple(r for r, kind in enumerate(self.receptacle_types) if kind in types)
            for change, types in self.rules.devices.items()
        }

    @cached_property
    def targets(self) -> tuple[int, ...]:
        """Receptacles of the goal's type."""
        return tuple(r for r, kind in enumerate(self.receptacle_types) if kind == self.goal.target)

    @cached_property
    def wanted(self) -> Bits:
        """Objects of the goal's type that the goal can be reached with."""
        found = members(kind == self.goal.wanted for kind in self.object_types)
        able = {"clean": "cleanable", "hot": "heatable", "cool": "coolable"}.get(self.goal.change)
        return found & self.abilities[able] if able else found

    @cached_property
    def lamps(self) -> Bits:
        """Lamps of the goal's type that can be used."""
        return members(kind == self.goal.lamp for kind in self.object_types) & self.abilities["toggleable"]


def build_game(file: GameFile, rules: Rules | None = None) -> Game:
    """The game of a file; its rules are recognised unless they are given.

    Raises DataError when its rules, goal or facts are none that are known here.
    """
    rules = rules_of(file) if rules is None else rules
    problem = read_problem(file.problem)
    by_predicate: dict[str, list[Fact]] = defaultdict(list)
    for fact in problem.facts:
        by_predicate[fact[0]].append(fact[1:])
    _check_predicates(by_predicate, file.game_id)
    object_type = _one_value(by_predicate["objecttype"], "objecttype", file.game_id)
    receptacle_type = _one_value(by_predicate["receptacletype"], "receptacletype", file.game_id)
    place = _one_value(by_predicate["receptacleatlocation"], "receptacleatlocation", file.game_id)
    if set(place) != set(receptacle_type):
        raise DataError(f"{file.game_id}: some receptacles lack a type or a location. Restore the game file.")
    objects = _object_ids(by_predicate)  # a cracked egg, for one, has no type but can be taken
    names = player_names([*objects, *receptacle_type])
    numbers = _Numbers(objects, sorted(receptacle_type), file.game_id)
    return Game(
        game_id=file.game_id,
        task_id=file.task_id,
        goal_text=file.goal_text,
        goal=read_goal(problem.goal),
        rules=rules,
        walkthrough=file.walkthrough,
        objects=tuple(names[raw] for raw in numbers.objects),
        object_types=tuple(object_type.get(raw, "") for raw in numbers.objects),
        receptacles=tuple(names[raw] for raw in numbers.receptacles),
        receptacle_types=tuple(receptacle_type[raw] for raw in numbers.receptacles),
        places=tuple(numbers.location(place[raw]) for raw in numbers.receptacles),
        openable=numbers.receptacle_bits(by_predicate["openable"]),
        abilities={name: numbers.object_bits(by_predicate[name]) for name in _ABILITIES},
        can_contain=frozenset((fact[0], fact[1]) for fact in by_predicate["cancontain"]),
        contents=numbers.contents(by_predicate["inreceptacleobject"]),
        start=_start(by_predicate, numbers),
    )


def members(flags: Iterable[bool]) -> Bits:
    """The positions of the true ones, as bits."""
    return sum(1 << i for i, flag in enumerate(flags) if flag)


def bit_numbers(bits: Bits) -> list[int]:
    """The numbers in a set of bits, ascending."""
    return [i for i in range(bits.bit_length()) if bits >> i & 1]


class _Numbers:
    """Numbers of raw ids."""

    def __init__(self, objects: Sequence[str], receptacles: Sequence[str], game_id: str) -> None:
        self.objects, self.receptacles = objects, receptacles
        self._objects = {raw: i for i, raw in enumerate(objects)}
        self._receptacles = {raw: i for i, raw in enumerate(receptacles)}
        self._locations: dict[str, int] = {}
        self._game_id = game_id
        for raw in [*objects, *receptacles]:
            if "_bar_" not in raw:
                raise DataError(
                    f"{game_id}: the id {raw!r} has no part '_bar_', so it has no number in the game's texts. "
                    "Restore the game file."
                )

    def object(self, raw: str) -> int:
        return self._objects[raw]

    def receptacle(self, raw: str) -> int:
        if raw not in self._receptacles:
            raise DataError(f"{self._game_id}: {raw!r} is no receptacle with a type. Restore the game file.")
        return self._receptacles[raw]

    def location(self, raw: str) -> int:
        return self._locations.setdefault(raw, len(self._locations))

    def object_bits(self, facts: Iterable[Fact]) -> Bits:
        return sum(1 << i for i in {self.object(fact[0]) for fact in facts})

    def receptacle_bits(self, facts: Iterable[Fact]) -> Bits:
        return sum(1 << i for i in {self.receptacle(fact[0]) for fact in facts})

    def contents(self, facts: Iterable[Fact]) -> dict[int, tuple[int, ...]]:
        found: dict[int, set[int]] = defaultdict(set)
        for inner, outer in facts:
            found[self.object(outer)].add(self.object(inner))
        return {outer: tuple(sorted(inner)) for outer, inner in found.items()}


def _object_ids(facts: Mapping[str, Sequence[Fact]]) -> list[str]:
    """All ids that some fact speaks of as an object, sorted."""
    first = ("objecttype", "inreceptacle", "objectatlocation", "inreceptacleobject", *_ABILITIES, *_CHANGING)
    found = {fact[0] for name in first for fact in facts.get(name, ())}
    return sorted(
        found | {fact[1] for name in ("inreceptacleobject", "holds") for fact in facts.get(name, ())}
    )


def _start(facts: Mapping[str, Sequence[Fact]], numbers: _Numbers) -> State:
    inside: list[set[int]] = [set() for _ in numbers.receptacles]
    for raw, receptacle in facts.get("inreceptacle", ()):
        inside[numbers.receptacle(receptacle)].add(numbers.object(raw))
    at: list[set[int]] = [set() for _ in numbers.objects]
    for raw, location in facts.get("objectatlocation", ()):
        at[numbers.object(raw)].add(numbers.location(location))
    changed = {name: numbers.object_bits(facts.get(name, ())) for name in _CHANGING}
    return State(
        location=numbers.location(facts["atlocation"][0][1]),
        holding=tuple(sorted({numbers.object(raw) for _, raw in facts.get("holds", ())})),
        inside=tuple(tuple(sorted(objects)) for objects in inside),
        at=tuple(tuple(sorted(locations)) for locations in at),
        opened=numbers.receptacle_bits(facts.get("opened", ())),
        clean=changed["isclean"],
        hot=changed["ishot"],
        cool=changed["iscool"],
        used=changed["istoggled"],
        sliced=changed["issliced"],
        taken=frozenset(),
    )


def _one_value(facts: Sequence[Fact], predicate: str, game_id: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for raw, value in facts:
        if values.setdefault(raw, value) != value:
            raise DataError(
                f"{game_id}: {predicate} of {raw!r} is both {values[raw]!r} and {value!r}, expected one value. "
                "Play the game with backend='textworld'."
            )
    return values


_UNARY = (*_ABILITIES, *_CHANGING, "openable", "opened", "holdsany")
_BINARY = (
    *("objecttype", "receptacletype", "receptacleatlocation", "objectatlocation", "atlocation"),
    *("inreceptacle", "inreceptacleobject", "cancontain", "holds"),
)
_ARITY = {**dict.fromkeys(_UNARY, 1), **dict.fromkeys(_BINARY, 2)}


def _check_predicates(facts: Mapping[str, Sequence[Fact]], game_id: str) -> None:
    """Refuse what the simulator would pass over or misread."""
    for name, rows in facts.items():
        if name in _IGNORED:
            continue
        if name not in _ARITY or any(len(row) != _ARITY[name] for row in rows):
            raise DataError(
                f"{game_id}: initial facts {name!r} with {sorted({len(row) for row in rows})} arguments are "
                "unknown here. Play the game with backend='textworld'."
            )
    held = len(facts.get("holds", ()))
    if held > 1 or held != len(facts.get("holdsany", ())):
        raise DataError(
            f"{game_id}: the agent holds {held} objects and {len(facts.get('holdsany', ()))} facts say that it "
            "holds any, expected one of each or none. Play the game with backend='textworld'."
        )
    if len(facts.get("atlocation", ())) != 1:
        raise DataError(f"{game_id}: the agent must be at one location at the start. Restore the game file.")
