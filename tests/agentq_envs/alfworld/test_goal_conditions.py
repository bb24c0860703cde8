"""The goal test against a slow reference that reads the PDDL condition literally."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import pytest

from agentq.errors import DataError
from agentq_data.alfworld.game_file import GameFile
from agentq_data.alfworld.generator import generate_game
from agentq_envs.alfworld.game import Game, State, build_game
from agentq_envs.alfworld.goals import Goal, read_goal
from agentq_envs.alfworld.pddl import parse, read_problem
from agentq_envs.alfworld.planner import Planner
from agentq_envs.alfworld.simulator import Simulator, goal_holds
from tests.agentq_envs.alfworld.conftest import small_games

Facts = set[tuple[str, ...]]


def facts_of(file: GameFile, game: Game, state: State) -> tuple[Facts, dict[str, list[str]]]:
    """The facts that hold in a state, and the ids of each type."""
    start = [
        fact for fact in read_problem(file.problem).facts if fact[0] not in ("inreceptacle", "atlocation")
    ]
    objects = sorted(fact[1] for fact in start if fact[0] == "objecttype")
    receptacles = sorted(fact[1] for fact in start if fact[0] == "receptacletype")
    place_of = {fact[1]: fact[2] for fact in start if fact[0] == "receptacleatlocation"}
    locations = {game.places[r]: place_of[raw] for r, raw in enumerate(receptacles)}
    facts: Facts = {fact for fact in start if not fact[0].startswith("is") or fact[0] == "isreceptacleobject"}
    facts |= {("inreceptacle", objects[o], receptacles[r]) for r, row in enumerate(state.inside) for o in row}
    facts |= {("holds", "agent1", objects[o]) for o in state.holding}
    facts.add(("atlocation", "agent1", locations.get(state.location, "elsewhere")))
    for name, bits in (
        ("isclean", state.clean), ("ishot", state.hot), ("iscool", state.cool), ("istoggled", state.used)
    ):  # fmt: skip
        facts |= {(name, raw) for o, raw in enumerate(objects) if bits >> o & 1}
    ids = {
        "object": objects,
        "receptacle": receptacles,
        "agent": ["agent1"],
        "location": list(place_of.values()),
    }
    return facts, ids


def holds(condition: Any, facts: Facts, ids: dict[str, list[str]], bound: dict[str, str]) -> bool:
    """Whether a condition holds, by its definition."""
    head = condition[0]
    if head == "and":
        return all(holds(part, facts, ids, bound) for part in condition[1:])
    if head == "not":
        return not holds(condition[1], facts, ids, bound)
    if head == "exists":
        names, kinds = condition[1][0::3], condition[1][2::3]
        return any(
            holds(condition[2], facts, ids, {**bound, **dict(zip(names, values, strict=True))})
            for values in product(*(ids[kind] for kind in kinds))
        )
    words = tuple(bound.get(word, word) for word in condition)
    return words[1] == words[2] if head == "=" else words in facts


def compare_along(file: GameFile, commands: list[str]) -> list[bool]:
    game = build_game(file)
    condition = read_problem(file.problem).goal
    simulator, met = Simulator(game), list[bool]()
    for command in ["look", *commands]:
        simulator.step(command)
        facts, ids = facts_of(file, game, simulator.state)
        met.append(goal_holds(game, simulator.state))
        assert met[-1] == holds(condition, facts, ids, {}), (file.game_id, command)
    return met


def walk(simulator: Simulator, rng: random.Random, steps: int) -> list[str]:
    """Random commands that may change something."""
    commands: list[str] = []
    for _ in range(steps):
        idle = ("examine", "look", "help", "inventory")
        commands.append(rng.choice([c for c in simulator.admissible if not c.startswith(idle)]))
        simulator.step(commands[-1])
    return commands


@pytest.mark.parametrize("name", small_games())
def test_the_goal_holds_when_its_condition_does(small: dict[str, GameFile], name: str) -> None:
    file = small[name]
    game = build_game(file)
    plan = list(Planner(game).commands(game.start) or ())
    assert compare_along(file, plan) == [False] * len(plan) + [True]
    rng = random.Random(name)
    for _ in range(12):
        simulator = Simulator(game)
        commands = walk(simulator, rng, 15)
        commands += Planner(game).commands(simulator.state) or ()
        for command in commands[15:]:
            simulator.step(command)
        met = compare_along(file, [*commands, *walk(simulator, rng, 5)])  # to the goal and beyond
        assert any(met)


def test_generated_games_agree_too() -> None:
    for index in range(6):
        file = generate_game(3, index)
        assert file.walkthrough is not None
        assert compare_along(file, list(file.walkthrough))[-1]


def test_goals_of_other_forms_are_refused() -> None:
    there = "(objectType ?o MugType) (receptacleType ?r DeskType) (inReceptacle ?o ?r)"
    good = f"(and (exists (?r - receptacle ?o - object) (and {there})))"
    assert read_goal(parse(good)) == Goal("mugtype", "desktype")
    for other in (
        good.replace("(inReceptacle ?o ?r)", "(inReceptacle ?o ?r) (isSliced ?o)"),
        good.replace("(inReceptacle ?o ?r)", "(isHot ?o) (inReceptacle ?o ?r)"),  # without heatable
        good.replace("(inReceptacle ?o ?r)", "(not (inReceptacle ?o ?r))"),
        "(and)",
    ):
        with pytest.raises(DataError, match="none of the six"):
            read_goal(parse(other))
    with pytest.raises(DataError, match="expected a condition"):
        read_goal("mug")
