"""The PDDL problem of a layout, and a plan that solves it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from agentq_data.alfworld.generator.layout import Layout, Thing
from agentq_data.alfworld.generator.rooms import (
    CLEANABLE,
    COOLABLE,
    HEATABLE,
    HOLLOW,
    LAMP,
    OPENABLE,
    PLACES,
    SCENERY,
    SLICEABLE,
)
from agentq_data.alfworld.generator.scenes import Receptacle
from agentq_data.alfworld.naming import player_names

_DONE = {"clean": ("cleanable", "isClean"), "heat": ("heatable", "isHot"), "cool": ("coolable", "isCool")}


def problem_text(layout: Layout, name: str) -> str:
    """The problem in PDDL, with objects, initial facts and goal."""
    scene = layout.scene
    kinds = sorted({thing.kind for thing in layout.things})
    furniture = sorted({receptacle.kind for receptacle in scene.receptacles})
    locations = dict.fromkeys([scene.start, *(receptacle.location for receptacle in scene.receptacles)])
    objects = [
        "agent1 - agent",
        *(f"{kind}Type - otype" for kind in kinds),
        *(f"{kind}Type - rtype" for kind in furniture),
        *(f"{thing.raw_id} - object" for thing in layout.things),
        *(f"{receptacle.raw_id} - receptacle" for receptacle in scene.receptacles),
        *(f"{location} - location" for location in locations),
    ]
    allowed = (f"canContain {r}Type {kind}Type" for r in furniture for kind in kinds if r in PLACES[kind])
    facts = [
        "= (total-cost) 0",
        f"atLocation agent1 {scene.start}",
        *(fact for receptacle in scene.receptacles for fact in _furniture_facts(receptacle)),
        *(fact for thing in layout.things for fact in _thing_facts(thing)),
        *allowed,
    ]
    return "\n".join(
        [
            f"(define (problem {name})",
            "(:domain alfred)",
            "(:objects",
            *objects,
            ")",
            "(:init",
            *(f"({fact})" for fact in facts),
            ")",
            f"(:goal {goal_text(layout)})",
            "(:metric minimize (total-cost))",
            ")",
            "",
        ]
    )


def goal_text(layout: Layout) -> str:
    """The goal condition of the layout's task in PDDL."""
    wanted, target, task = f"{layout.wanted}Type", f"{layout.target}Type", layout.task
    if layout.target == LAMP:
        return (
            "(and (exists (?lamp - object ?r - receptacle ?a - agent ?l - location) "
            f"(and (objectType ?lamp {target}) (toggleable ?lamp) (isToggled ?lamp) "
            "(receptacleAtLocation ?r ?l) (atLocation ?a ?l) (inReceptacle ?lamp ?r))) "
            f"(exists (?o - object ?a - agent) (and (objectType ?o {wanted}) (holds ?a ?o))))"
        )
    there = f"(objectType ?o {wanted}) (receptacleType ?r {target}) (inReceptacle ?o ?r)"
    if task.verb is not None:
        able, done = _DONE[task.verb]
        there += f" ({able} ?o) ({done} ?o)"
    if task.count == 2:
        there += (
            " (exists (?other - object) (and (not (= ?o ?other)) "
            f"(objectType ?other {wanted}) (receptacleType ?r {target}) (inReceptacle ?other ?r)))"
        )
    return f"(and (exists (?r - receptacle) (exists (?o - object) (and {there}))))"


def plan(layout: Layout) -> tuple[str, ...]:
    """Commands that solve the task: fetch the object, visit the device, bring it to the target."""
    names = player_names([*(t.raw_id for t in layout.things), *(r.raw_id for r in layout.scene.receptacles)])
    walk = _Walk(names)
    things = [thing for thing in layout.things if thing.kind == layout.wanted][: layout.task.count]
    target = _destination(layout)
    for thing in things:
        walk.visit(thing.receptacle, inside=True)
        walk.commands.append(f"take {walk.name(thing)} from {walk.name(thing.receptacle)}")
        if layout.task.device is not None:
            device = next(r for r in layout.scene.receptacles if r.kind == layout.task.device)
            walk.visit(device, inside=False)
            walk.commands.append(f"{layout.task.verb} {walk.name(thing)} with {walk.name(device)}")
        if isinstance(target, Thing):
            walk.visit(target.receptacle, inside=False)
            walk.commands.append(f"use {walk.name(target)}")
        else:
            walk.visit(target, inside=True)
            walk.commands.append(f"move {walk.name(thing)} to {walk.name(target)}")
    return tuple(walk.commands)


class _Walk:
    """Commands so far, where the agent is, and what it has opened."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.commands: list[str] = []
        self._names = names
        self._location = ""
        self._opened: set[str] = set()

    def name(self, entity: Thing | Receptacle) -> str:
        return self._names[entity.raw_id.lower()]

    def visit(self, receptacle: Receptacle, *, inside: bool) -> None:
        """Go there unless that place is reached already; with ``inside`` open it too."""
        if receptacle.location != self._location:
            self.commands.append(f"go to {self.name(receptacle)}")
            self._location = receptacle.location
        if inside and receptacle.kind in OPENABLE and receptacle.raw_id not in self._opened:
            self.commands.append(f"open {self.name(receptacle)}")
            self._opened.add(receptacle.raw_id)


def _destination(layout: Layout) -> Thing | Receptacle:
    if layout.target == LAMP:
        return next(thing for thing in layout.things if thing.kind == LAMP)
    return next(r for r in layout.scene.receptacles if r.kind == layout.target)


def _furniture_facts(receptacle: Receptacle) -> Iterator[str]:
    yield f"receptacleType {receptacle.raw_id} {receptacle.kind}Type"
    yield f"receptacleAtLocation {receptacle.raw_id} {receptacle.location}"
    if receptacle.kind in OPENABLE:
        yield f"openable {receptacle.raw_id}"


def _thing_facts(thing: Thing) -> Iterator[str]:
    kind, raw_id = thing.kind, thing.raw_id
    yield f"objectType {raw_id} {kind}Type"
    yield f"inReceptacle {raw_id} {thing.receptacle.raw_id}"
    yield f"objectAtLocation {raw_id} {thing.receptacle.location}"
    if thing.inside is not None:
        yield f"inReceptacleObject {raw_id} {thing.inside.raw_id}"
    properties = (
        ("pickupable", kind not in SCENERY),
        ("isReceptacleObject", kind in HOLLOW),
        ("cleanable", kind in CLEANABLE),
        ("heatable", kind in HEATABLE),
        ("coolable", kind in COOLABLE),
        ("sliceable", kind in SLICEABLE),
        ("toggleable", kind == LAMP),
        ("isCool", thing.cold),
    )
    yield from (f"{name} {raw_id}" for name, holds in properties if holds)
