"""Lays objects out in a room so that a task is possible and not done yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentq_data.alfworld.generator.rooms import (
    COOLABLE,
    HOLLOW,
    KINDS,
    LAMP,
    PLACES,
    SCENERY,
    THINGS,
    TaskKind,
)
from agentq_data.alfworld.generator.scenes import Places, Receptacle, Scene
from agentq_data.dice import Dice

_LOOK = KINDS[1].name
_SMALL = ("ButterKnife", "Fork", "Spoon", "Pen", "Pencil", "KeyChain", "CreditCard", "DishSponge")
_INSIDE = 0.1  # of the small objects, how many lie in a bowl, mug ... where there is one
_CHILLED = 0.3  # of the objects in a fridge, how many are cold already


@dataclass(frozen=True, slots=True)
class Thing:
    """An object, where it is at the start, and the hollow object that it lies in."""

    kind: str
    raw_id: str
    receptacle: Receptacle
    inside: Thing | None = None
    cold: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """A room with objects and the task to be done there; ``target`` is a receptacle type or the lamp's."""

    scene: Scene
    task: TaskKind
    wanted: str  # object type
    target: str
    things: tuple[Thing, ...]


def lay_out(scene: Scene, task: TaskKind, dice: Dice) -> Layout | None:
    """A layout for a task of this kind in this room; None when the room has nothing to do it with."""
    standing = {receptacle.kind for receptacle in scene.receptacles}
    if task.device is not None and task.device not in standing:
        return None
    choices = _choices(scene, task, standing)
    if not choices:
        return None
    # First the object, evenly, then where it goes: a table that takes everything must not drown the rest.
    wanted = dice.pick(sorted({wanted for wanted, _ in choices}))
    target = dice.pick(sorted({target for found, target in choices if found == wanted}))
    places = Places(dice)
    kinds = _kinds_of_things(scene, task, wanted, dice)
    # Objects of the wanted kind never start where they shall go: the task would be done, or half done.
    things = [
        thing
        for kind in kinds
        if (thing := _placed(kind, scene, places, dice, "" if kind != wanted else target)) is not None
    ]
    if sum(thing.kind == wanted for thing in things) < task.count:
        return None
    if task.name == _LOOK and not any(thing.kind == LAMP for thing in things):
        return None
    return Layout(scene, task, wanted, target, tuple(_put_inside(things, dice)))


def _choices(scene: Scene, task: TaskKind, standing: set[str]) -> list[tuple[str, str]]:
    """All (object type, target) that the room allows."""
    found: list[tuple[str, str]] = []
    for wanted in THINGS[scene.kind]:
        allowed = wanted not in SCENERY and (task.objects is None or wanted in task.objects)
        starts = {kind for kind, weight in PLACES[wanted].items() if weight and kind in standing}
        if not allowed or not starts:
            continue
        if task.name == _LOOK:
            found.append((wanted, LAMP))
            continue
        targets = [kind for kind in PLACES[wanted] if kind in standing and kind != task.device]
        found.extend((wanted, target) for target in targets if starts - {target})
    return found


def _kinds_of_things(scene: Scene, task: TaskKind, wanted: str, dice: Dice) -> list[str]:
    kinds: list[str] = []
    for kind, (fewest, most) in THINGS[scene.kind].items():
        count = max(0, dice.between(fewest, most))
        if kind == wanted:
            count = max(count, task.count)
        if kind == LAMP and task.name == _LOOK:
            count = 1
        kinds.extend([kind] * count)
    return kinds


def _placed(kind: str, scene: Scene, places: Places, dice: Dice, forbidden: str) -> Thing | None:
    """The object somewhere it belongs, but not in a receptacle of the forbidden type; None: nowhere to be."""
    weights = PLACES[kind]
    possible = [r for r in scene.receptacles if weights.get(r.kind) and r.kind != forbidden]
    if not possible:
        return None
    receptacle = possible[dice.weighted([weights[r.kind] / _count(scene, r.kind) for r in possible])]
    cold = receptacle.kind == "Fridge" and kind in COOLABLE and dice.chance(_CHILLED)
    return Thing(kind, places.raw_id(kind), receptacle, cold=cold)


def _count(scene: Scene, kind: str) -> int:
    return sum(receptacle.kind == kind for receptacle in scene.receptacles)


def _put_inside(things: Sequence[Thing], dice: Dice) -> list[Thing]:
    """Some small objects lie in a hollow one on the same receptacle; players see it only by examining."""
    result: list[Thing] = []
    for thing in things:
        hollow = [t for t in things if t.kind in HOLLOW and t.receptacle is thing.receptacle]
        inside = dice.pick(hollow) if thing.kind in _SMALL and hollow and dice.chance(_INSIDE) else None
        result.append(Thing(thing.kind, thing.raw_id, thing.receptacle, inside, thing.cold))
    return result
