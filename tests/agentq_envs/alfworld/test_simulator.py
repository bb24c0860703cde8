from __future__ import annotations

import random
from dataclasses import replace

import pytest

from agentq.errors import DataError
from agentq_data.alfworld.game_file import GameFile
from agentq_data.alfworld.generator import generate_game
from agentq_envs.alfworld.commands import possible
from agentq_envs.alfworld.game import build_game
from agentq_envs.alfworld.rules import RULES, rules_of
from agentq_envs.alfworld.simulator import Simulator


def played(file: GameFile, *commands: str) -> list[str]:
    """The observations after the commands."""
    simulator = Simulator(build_game(file))
    simulator.reset()
    return [simulator.step(command).observation for command in commands]


def test_a_game_from_the_first_look_to_the_end(small: dict[str, GameFile]) -> None:
    simulator = Simulator(build_game(small["clean"]))
    first = simulator.reset()
    assert first.observation == (
        "-= Welcome to TextWorld, ALFRED! =-\n\nYou are in the middle of a room. Looking quickly around you, "
        "you see a drawer 1, a fridge 1, a sidetable 1, and a sinkbasin 1.\n\n"
        "Your task is to: put a clean knife in drawer."
    )
    assert first.admissible == (
        "go to drawer 1", "go to fridge 1", "go to sidetable 1", "go to sinkbasin 1", "help", "inventory", "look"
    )  # fmt: skip
    for command, answer in (
        ("look", "You are in the middle of a room. Looking quickly around you, you see nothing."),
        ("go to sidetable 1", "You arrive at sidetable 1. On the sidetable 1, you see a knife 1."),
        ("examine knife 1", "Nothing happens."),  # only what is held can be examined
        ("take knife 1 from sidetable 1", "You pick up the knife 1 from the sidetable 1."),
        ("inventory", "You are carrying: a knife 1."),
        ("examine knife 1", "There's nothing special about knife 1."),
        ("go to sinkbasin 1", "You arrive at sinkbasin 1. On the sinkbasin 1, you see nothing."),
        ("clean knife 1 with sinkbasin 1", "You clean the knife 1 using the sinkbasin 1."),
        ("examine knife 1", "This is a clean knife 1."),
        ("go to fridge 1", "You arrive at fridge 1. The fridge 1 is closed."),
        ("slice egg 1 with knife 1", "You sliced the egg 1 with the knife 1."),  # even in a closed fridge
        ("go to drawer 1", "You arrive at drawer 1. The drawer 1 is closed."),
        ("go to sidetable 1", "Nothing happens."),  # it is here already
        ("look", "You are facing the drawer 1, and sidetable 1. Next to it, you see nothing."),
        ("move knife 1 to drawer 1", "Nothing happens."),
        ("open drawer 1", "You open the drawer 1. The drawer 1 is open. In it, you see nothing."),
    ):
        assert simulator.step(command).observation == answer
    assert not simulator.step("close drawer 1").won
    simulator.step("open drawer 1")
    last = simulator.step("  move knife 1 to drawer 1 ")
    assert (last.observation, last.won) == ("You move the knife 1 to the drawer 1.", True)


def test_warmth_and_slices_in_words(small: dict[str, GameFile]) -> None:
    answers = played(
        small["heat"], "go to fridge 1", "open fridge 1", "take egg 1 from fridge 1", "examine egg 1",
        "go to microwave 1", "heat egg 1 with microwave 1", "examine egg 1", "go to fridge 1",
        "cool egg 1 with fridge 1", "examine egg 1",
    )  # fmt: skip
    assert answers[3] == answers[9] == "This is a cold egg 1."
    assert answers[6] == "This is a hot egg 1."
    state = Simulator(build_game(small["heat"])).state
    egg = build_game(small["heat"]).objects.index("egg 1")
    words = {
        ("clean", "hot", "sliced"): "This is a hot and clean sliced egg 1.",
        ("clean", "cool", "sliced"): "This is a cool and clean sliced egg 1.",
        ("clean", "sliced"): "This is a clean sliced egg 1.",
        ("hot", "sliced"): "This is a hot sliced egg 1.",
        ("cool", "sliced"): "This is a cool sliced egg 1.",
        ("clean", "hot"): "This is a hot and clean egg 1.",
        ("clean", "cool"): "This is a cool and clean egg 1.",
        ("sliced",): "This is a sliced egg 1.",
        (): "There's nothing special about egg 1.",
    }
    for names, text in words.items():
        simulator = Simulator(build_game(small["heat"]))
        bits = {name: (name in names) << egg for name in ("clean", "hot", "cool", "sliced")}
        simulator.state = replace(state, holding=(egg,), **bits)
        assert simulator.step("examine egg 1").observation == text


def test_a_hollow_object_shows_what_lies_in_it(small: dict[str, GameFile]) -> None:
    file = small["cool"]
    inside = "(inReceptacleObject Fork_bar_1 Mug_bar_1)\n(:goal"
    file = replace(
        file, problem=file.problem.replace(")\n(:goal", f"{inside}", 1).replace("1)\n(:goal", "1))\n(:goal")
    )
    answers = played(file, "go to sidetable 1", "take mug 1 from sidetable 1", "examine mug 1")
    assert answers[-1] == "This is a normal mug 1. In it, you see a fork 1."


def test_what_was_moved_between_two_receptacles_of_a_place_lies_beside_both(
    small: dict[str, GameFile],
) -> None:
    answers = played(
        small["two"], "go to sidetable 1", "take mug 2 from sidetable 1", "open drawer 1",
        "move mug 2 to sidetable 1", "look", "take fork 1 from drawer 1", "move fork 1 to sidetable 1", "look",
    )  # fmt: skip
    assert answers[4].endswith("Next to it, you see nothing.")
    assert answers[7].endswith("Next to it, you see a fork 1.")


def test_numbers_run_down_in_the_order_of_raw_ids(small: dict[str, GameFile]) -> None:
    game = build_game(small["two"])
    assert game.objects == ("fork 1", "mug 2", "mug 1")


def test_an_object_without_a_type_can_be_taken_but_nowhere_put(small: dict[str, GameFile]) -> None:
    problem = small["two"].problem.replace(
        "(:init", "(:init (pickupable Egg_bar_9) (inReceptacle Egg_bar_9 SideTable_bar_1)"
    )
    simulator = Simulator(build_game(replace(small["two"], problem=problem)))
    simulator.step("go to sidetable 1")
    assert simulator.step("take egg 1 from sidetable 1").legal
    assert not [command for command in simulator.admissible if command.startswith("move ")]


def test_sinks_clean_by_the_rules_of_the_domain() -> None:
    assert RULES["package-0.4.2"].devices["clean"] == {"sinkbasintype"}
    assert RULES["official"].devices["clean"] == {"sinkbasintype", "sinktype"}
    assert rules_of(generate_game(0, 0)).name == "household"


def test_a_step_that_changes_nothing_keeps_the_state(small: dict[str, GameFile]) -> None:
    simulator = Simulator(build_game(small["two"]))
    before = simulator.state
    for command in ("", "LOOK", "go to mars", "put fork 1 in/on drawer 1", "take mug 1", "look", "help"):
        turn = simulator.step(command)
        assert simulator.state == before
        assert turn.legal == (command in ("look", "help"))


def test_every_admissible_command_is_understood() -> None:
    rng = random.Random(0)
    for index in range(12):
        simulator = Simulator(build_game(generate_game(5, index)))
        turn = simulator.reset()
        for _ in range(40):
            assert list(turn.admissible) == sorted(possible(simulator.game, simulator.state))
            turn = simulator.step(rng.choice(turn.admissible))
            assert turn.legal
            assert turn.observation != "Nothing happens."
            assert len(simulator.state.holding) <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("(:goal", "(:metric x) (:aim"), "needs \\(:init"),
        (("(:init", "(:init ("), "open brackets"),
        (("(= (total-cost) 0)", "(flies Mug_bar_1)"), "initial facts 'flies'"),
        (("(= (total-cost) 0)", "(holds agent1 Mug_bar_1)"), "holds 1 objects and 0 facts"),
        (("(= (total-cost) 0)", "(atLocation agent1 loc_bar_3)"), "at one location"),
        (("(= (total-cost) 0)", "(inReceptacle Mug_bar_1 Bed_bar_1)"), "'bed_bar_1' is no receptacle"),
        (("(= (total-cost) 0)", "(objectType Spoon SpoonType)"), "'spoon' has no part '_bar_'"),
        (("(= (total-cost) 0)", "(receptacleType Bed_bar_1 BedType)"), "lack a type or a location"),
        (("(= (total-cost) 0)", "(objectType Mug_bar_1 CupType)"), "both 'cuptype' and 'mugtype'"),
        (("(exists (?other", "(forall (?other"), "none of the six"),
    ],
)
def test_games_that_would_be_misread_are_refused(
    small: dict[str, GameFile], change: tuple[str, str], message: str
) -> None:
    file = small["two"]
    file = replace(file, problem=file.problem.replace(*change, 1))
    with pytest.raises(DataError, match=message):
        build_game(file)


def test_other_rules_are_refused_with_the_way_out(small: dict[str, GameFile]) -> None:
    file = small["two"]
    with pytest.raises(DataError, match=r"its domain is none of those.*backend='textworld'"):
        build_game(replace(file, domain=file.domain.replace("(isHot ?o) (not (isCool ?o))", "(isHot ?o)")))
    with pytest.raises(DataError, match="its grammar is none of those"):
        build_game(replace(file, grammar=file.grammar.replace("move {o} to {r}", "put {o} in/on {r}")))
    build_game(replace(file, domain=f"; a remark\n{file.domain.upper()}"))  # case and remarks say nothing
