"""Shortest plans from any state of a game, by its hidden state (privileged: for oracles, labels, experts).

From every place every other is one walk away, so a plan is an order of visits: fetch an object, take it to
a device, put it where it shall be. What it costs is one walk for each change of place, one command for each
closed receptacle that must be open, and one for what is done at each visit. All sensible visits are tried,
which makes the plan as short as any; a test compares it with breadth-first search.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

from agentq_envs.alfworld.commands import VERBS
from agentq_envs.alfworld.game import Game, State, bit_numbers
from agentq_envs.alfworld.simulator import goal_holds

Deed = Literal["take", "move", "clean", "hot", "cool", "use", "stand"]
_INSIDE = ("take", "move")  # for these the receptacle must be open


@dataclass(frozen=True, slots=True)
class Visit:
    """Go to a receptacle and do something with a thing there; "stand" does nothing more."""

    receptacle: int
    deed: Deed
    thing: int = -1


class Planner:
    """Plans for one game; remembers those that it has made."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self._plans: dict[tuple[object, ...], tuple[Visit, ...] | None] = {}

    def commands(self, state: State) -> tuple[str, ...] | None:
        """A shortest list of commands that reaches the goal: empty when it holds, None when none can."""
        visits = self._visits(state)
        return None if visits is None else tuple(self._spelled(state, visits))

    def steps(self, state: State) -> int | None:
        """Length of a shortest plan."""
        visits = self._visits(state)
        return None if visits is None else self._cost(state, visits)

    def _visits(self, state: State) -> tuple[Visit, ...] | None:
        key = (
            state.location, state.holding, state.inside, state.opened, state.clean, state.hot, state.cool, state.used
        )  # fmt: skip
        if key not in self._plans:
            self._plans[key] = self._search(state)
        return self._plans[key]

    def _search(self, state: State) -> tuple[Visit, ...] | None:
        if goal_holds(self.game, state):
            return ()
        best: tuple[Visit, ...] | None = None
        least = 10**9
        for visits in self._orders(state):
            if (cost := self._cost(state, visits)) < least:
                best, least = visits, cost
        return best

    def _orders(self, state: State) -> Iterator[tuple[Visit, ...]]:
        """All orders of visits that reach the goal and might be shortest."""
        goal = self.game.goal
        if goal.lamp:
            orders = self._to_lamp(state)
        elif goal.count == 2:
            orders = self._pairs(state)
        else:
            orders = self._one(state)
        for visits in orders:
            first = visits[0]
            if state.holding and first.deed == "take":
                for put_down in self._put_downs(state, visits):
                    yield (put_down, *visits)
            else:
                yield visits

    def _one(self, state: State) -> Iterator[tuple[Visit, ...]]:
        """Fetch one object, change it where the goal says so, bring it to a target."""
        change = self.game.goal.change
        for thing in bit_numbers(self.game.wanted):
            changed = not change or bool(getattr(state, change) >> thing & 1)
            for fetch in self._fetches(state, thing):
                left = fetch[0].receptacle if fetch else -1
                devices: Iterable[tuple[Visit, ...]] = ((),)
                if not changed:
                    devices = [(Visit(r, _deed(change), thing),) for r in self.game.devices[change]]
                for device in devices:
                    # An object may lie in two receptacles at once; taken from one it is still in the other.
                    still = any(thing in state.inside[r] for r in self.game.targets if r != left)
                    if still and device:
                        yield (*fetch, *device)
                        continue
                    for target in self._targets(thing):
                        yield (*fetch, *device, Visit(target, "move", thing))

    def _pairs(self, state: State) -> Iterator[tuple[Visit, ...]]:
        """Bring as many different objects to one target as it lacks."""
        wanted = bit_numbers(self.game.wanted)
        for target in self.game.targets:
            inside = state.inside[target]
            missing = 2 - sum(thing in wanted for thing in inside)
            others = [thing for thing in wanted if thing not in inside]
            others = [thing for thing in others if target in self.game.holders[thing]]
            for things in permutations(others, missing):
                # What is in hand comes first: otherwise it had to be put down for the other.
                if any(thing in state.holding for thing in things[1:]):
                    continue
                yield from self._carried(state, things, target)

    def _carried(self, state: State, things: Sequence[int], target: int) -> Iterator[tuple[Visit, ...]]:
        if not things:
            yield ()
            return
        for rest in self._carried(state, things[1:], target):
            for fetch in self._fetches(state, things[0]):
                yield (*fetch, Visit(target, "move", things[0]), *rest)

    def _to_lamp(self, state: State) -> Iterator[tuple[Visit, ...]]:
        """Fetch an object and go with it to a lamp, which is used last: that is never longer."""
        for thing in bit_numbers(self.game.wanted):
            for fetch in self._fetches(state, thing):
                for lamp in bit_numbers(self.game.lamps):
                    deed: Deed = "stand" if state.used >> lamp & 1 else "use"
                    for receptacle in self._holding(state, lamp):
                        yield (*fetch, Visit(receptacle, deed, lamp))

    def _fetches(self, state: State, thing: int) -> list[tuple[Visit, ...]]:
        """The ways to have a thing in hand: nothing to do, or one visit to a receptacle that it is in."""
        if thing in state.holding:
            return [()]
        if not self.game.abilities["pickupable"] >> thing & 1:
            return []
        return [(Visit(receptacle, "take", thing),) for receptacle in self._holding(state, thing)]

    def _holding(self, state: State, thing: int) -> list[int]:
        return [receptacle for receptacle, things in enumerate(state.inside) if thing in things]

    def _targets(self, thing: int) -> list[int]:
        holders = self.game.holders[thing]
        return [target for target in self.game.targets if target in holders]

    def _put_downs(self, state: State, visits: Sequence[Visit]) -> list[Visit]:
        """Where what is in hand may be put down first; of many equally good places only one.

        Good is a place that is here, at the first visit or anywhere, open if there is one, and any receptacle
        that is visited anyway, since it need be opened only once.
        """
        held = state.holding[0]
        possible = sorted(self.game.holders[held], key=lambda r: self._shut(state, r))
        visited = {visit.receptacle for visit in visits}
        places = self.game.places
        kept = [r for r in possible if r in visited]
        for place in (state.location, places[visits[0].receptacle]):
            kept += [r for r in possible if places[r] == place][:1]
        return [Visit(r, "move", held) for r in dict.fromkeys([*kept, *possible[:1]])]

    def _shut(self, state: State, receptacle: int) -> bool:
        return bool(self.game.openable >> receptacle & 1 and not state.opened >> receptacle & 1)

    def _cost(self, state: State, visits: Sequence[Visit]) -> int:
        place, opened, cost = state.location, state.opened, 0
        for visit in visits:
            receptacle = visit.receptacle
            if self.game.places[receptacle] != place:
                place = self.game.places[receptacle]
                cost += 1
            if (
                visit.deed in _INSIDE
                and self.game.openable >> receptacle & 1
                and not opened >> receptacle & 1
            ):
                opened |= 1 << receptacle
                cost += 1
            cost += visit.deed != "stand"
        return cost

    def _spelled(self, state: State, visits: Sequence[Visit]) -> Iterator[str]:
        place, opened = state.location, state.opened
        for visit in visits:
            receptacle, name = visit.receptacle, self.game.receptacles[visit.receptacle]
            if self.game.places[receptacle] != place:
                place = self.game.places[receptacle]
                yield f"go to {name}"
            if (
                visit.deed in _INSIDE
                and self.game.openable >> receptacle & 1
                and not opened >> receptacle & 1
            ):
                opened |= 1 << receptacle
                yield f"open {name}"
            thing = self.game.objects[visit.thing]
            if visit.deed == "take":
                yield f"take {thing} from {name}"
            elif visit.deed == "move":
                yield f"move {thing} to {name}"
            elif visit.deed == "use":
                yield f"use {thing}"
            elif visit.deed != "stand":
                yield f"{VERBS[visit.deed][0]} {thing} with {name}"


def _deed(change: str) -> Deed:
    return "clean" if change == "clean" else "hot" if change == "hot" else "cool"
