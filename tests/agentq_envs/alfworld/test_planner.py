"""Shortest plans against a search through every state."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import replace

import pytest

from agentq_data.alfworld.game_file import GameFile
from agentq_data.alfworld.generator import generate_game
from agentq_envs.alfworld.commands import possible
from agentq_envs.alfworld.game import Game, State, build_game
from agentq_envs.alfworld.lookahead import action_values
from agentq_envs.alfworld.planner import Planner
from agentq_envs.alfworld.simulator import Simulator, apply, goal_holds
from tests.agentq_envs.alfworld.conftest import small_games

_CHANGES_STATE = ("go", "open", "close", "take", "move", "clean", "hot", "cool", "use")


def distances(game: Game) -> dict[State, int | None]:
    """Commands to the goal from every state that can be reached, by breadth-first search backwards."""
    before: dict[State, list[State]] = defaultdict(list)
    seen, waiting = {game.start}, deque([game.start])
    while waiting:
        state = waiting.popleft()
        for action in possible(game, state).values():
            if action.verb in _CHANGES_STATE:
                # What was sliced or lay elsewhere before matters to no plan.
                after = replace(apply(game, state, action), taken=frozenset(), at=game.start.at)
                before[after].append(state)
                if after not in seen:
                    seen.add(after)
                    waiting.append(after)
    found: dict[State, int | None] = dict.fromkeys(seen)
    edge = deque(state for state in seen if goal_holds(game, state))
    found |= dict.fromkeys(edge, 0)
    while edge:
        state = edge.popleft()
        for earlier in before[state]:
            if found[earlier] is None:
                found[earlier] = (found[state] or 0) + 1
                edge.append(earlier)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", small_games())
def test_plans_are_as_short_as_any_from_every_state(small: dict[str, GameFile], name: str) -> None:
    game = build_game(small[name])
    planner = Planner(game)
    known = distances(game)
    assert len(known) > 300
    wrong = {state: steps for state, steps in known.items() if planner.steps(state) != steps}
    assert wrong == {}


@pytest.mark.parametrize("name", small_games())
def test_a_plan_does_what_it_says(small: dict[str, GameFile], name: str) -> None:
    game = build_game(small[name])
    planner, simulator = Planner(game), Simulator(game)
    for index in range(-1, 12):  # from the start, and after a walk that disturbs things
        simulator.reset()
        for step in range(index + 1):
            simulator.step(simulator.admissible[(7 * index + 5 * step) % len(simulator.admissible)])
        plan = planner.commands(simulator.state)
        assert plan is not None
        assert len(plan) == planner.steps(simulator.state)
        won = goal_holds(game, simulator.state)
        for command in plan:
            assert not won
            turn = simulator.step(command)
            assert turn.legal
            won = turn.won
        assert won


def test_the_generators_plan_is_never_shorter() -> None:
    for index in range(120):
        file = generate_game(1, index)
        game = build_game(file)
        assert file.walkthrough is not None
        assert 0 < (Planner(game).steps(game.start) or 0) <= len(file.walkthrough)


def test_an_impossible_task_has_no_plan_and_no_value(small: dict[str, GameFile]) -> None:
    file = small["two"]
    problem = file.problem.replace("(pickupable Mug_bar_1)", "")
    game = build_game(type(file)(file.game_id, file.domain, file.grammar, problem, file.goal_text))
    planner = Planner(game)
    assert planner.commands(game.start) is None
    assert action_values(planner, game.start, [None], 50) == [0.0]


def test_values_fall_with_the_way_and_vanish_beyond_the_limit(small: dict[str, GameFile]) -> None:
    game = build_game(small["place"])
    planner = Planner(game)
    commands = possible(game, game.start)
    # Go to the drawer's place, open it, take the fork, move it to the table: four commands.
    assert planner.steps(game.start) == 4
    good, detour = commands["go to drawer 1"], commands["go to fridge 1"]
    assert action_values(planner, game.start, [good, detour, None], 50, 0.5) == [0.125, 0.0625, 0.0625]
    assert action_values(planner, game.start, [good, detour], 4, 0.5) == [0.125, 0.0]
    assert action_values(planner, game.start, [good], 3, 0.5) == [0.0]
