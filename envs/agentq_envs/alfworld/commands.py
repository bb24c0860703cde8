"""What may be done in a state: the commands as texts, each with the action behind it."""

from __future__ import annotations

from dataclasses import dataclass

from agentq_envs.alfworld.game import KNIVES, Game, State, bit_numbers

#: Change of an object -> the verb that asks for it, and the ability that allows it.
VERBS = {"clean": ("clean", "cleanable"), "hot": ("heat", "heatable"), "cool": ("cool", "coolable")}


@dataclass(frozen=True, slots=True)
class Action:
    """One grounded action; ``thing`` and ``receptacle`` are numbers, -1 where the verb has none."""

    verb: str  # look, inventory, help, go, open, close, take, move, clean, hot, cool, use, slice, examine...
    thing: int = -1
    receptacle: int = -1


_ALWAYS = {name: Action(name) for name in ("look", "inventory", "help")}


def possible(game: Game, state: State) -> dict[str, Action]:
    """All commands that the state allows, in no particular order."""
    found = dict(_ALWAYS)
    names = game.receptacles
    for receptacle, place in enumerate(game.places):
        if place != state.location:
            found[f"go to {names[receptacle]}"] = Action("go", receptacle=receptacle)
    for receptacle in game.here[state.location]:
        _at_receptacle(game, state, receptacle, found)
    for thing in state.holding:
        found[f"examine {game.objects[thing]}"] = Action("examine object", thing)
        if game.object_types[thing] in KNIVES:
            _with_knife(game, state, thing, found)
    return found


def _at_receptacle(game: Game, state: State, receptacle: int, found: dict[str, Action]) -> None:
    name, objects = game.receptacles[receptacle], game.objects
    found[f"examine {name}"] = Action("examine receptacle", receptacle=receptacle)
    accessible = True
    if game.openable >> receptacle & 1:
        accessible = bool(state.opened >> receptacle & 1)
        verb = "close" if accessible else "open"
        found[f"{verb} {name}"] = Action(verb, receptacle=receptacle)
    for thing in state.inside[receptacle]:
        if accessible and not state.holding and game.abilities["pickupable"] >> thing & 1:
            found[f"take {objects[thing]} from {name}"] = Action("take", thing, receptacle)
        if game.abilities["toggleable"] >> thing & 1:
            found[f"use {objects[thing]}"] = Action("use", thing, receptacle)
    for thing in state.holding:
        if accessible and receptacle in game.holders[thing]:
            found[f"move {objects[thing]} to {name}"] = Action("move", thing, receptacle)
        for change, (verb, ability) in VERBS.items():
            if receptacle in game.devices[change] and game.abilities[ability] >> thing & 1:
                found[f"{verb} {objects[thing]} with {name}"] = Action(change, thing, receptacle)


def _with_knife(game: Game, state: State, knife: int, found: dict[str, Action]) -> None:
    """Whatever is registered at this place can be sliced, even inside a closed receptacle."""
    for thing in bit_numbers(game.abilities["sliceable"]):
        if state.location in state.at[thing]:
            found[f"slice {game.objects[thing]} with {game.objects[knife]}"] = Action("slice", thing)
