"""A kitchen corner small enough to look at every state of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agentq_data.alfworld.game_file import PLACEHOLDER, GameFile
from agentq_data.alfworld.generator import domain_text, grammar_template
from agentq_data.alfworld.generator.layout import Layout, Thing
from agentq_data.alfworld.generator.problem import plan, problem_text
from agentq_data.alfworld.generator.rooms import KINDS
from agentq_data.alfworld.generator.scenes import Receptacle, Scene
from agentq_envs.alfworld.env import AlfworldEnv

DRAWER = Receptacle("Drawer", "Drawer_bar_1", "loc_bar_1")
SHELF = Receptacle("SideTable", "SideTable_bar_1", "loc_bar_1")  # from the same place as the drawer
FRIDGE = Receptacle("Fridge", "Fridge_bar_1", "loc_bar_2")
SINK = Receptacle("SinkBasin", "Sink_bar_1_bar_SinkBasin", "loc_bar_3")
MICROWAVE = Receptacle("Microwave", "Microwave_bar_1", "loc_bar_4")
DESK = Receptacle("Desk", "Desk_bar_1", "loc_bar_5")


def game_file(number: int, wanted: str, target: str, things: list[Thing], *furniture: Receptacle) -> GameFile:
    """The game of task type ``number`` (1 to 6) in a room with this furniture."""
    task = KINDS[number - 1]
    layout = Layout(Scene(1, "kitchen", "loc_bar_0", furniture), task, wanted, target, tuple(things))
    goal = task.phrases[0].format(o=wanted.lower(), t=target.lower())
    grammar = grammar_template().replace(PLACEHOLDER, goal)
    name = f"test/{task.name}-{wanted}-None-{target}-1/trial_1"
    return GameFile(name, domain_text(), grammar, problem_text(layout, "t"), goal, True, plan(layout))


def small_games() -> dict[str, GameFile]:
    """One game per task type, with other things about that are in the way."""
    mug, other_mug = Thing("Mug", "Mug_bar_1", SHELF), Thing("Mug", "Mug_bar_2", FRIDGE)
    knife, fork = Thing("Knife", "Knife_bar_1", SHELF), Thing("Fork", "Fork_bar_1", DRAWER)
    egg, lamp = Thing("Egg", "Egg_bar_1", FRIDGE, cold=True), Thing("DeskLamp", "DeskLamp_bar_1", DESK)
    book = Thing("Book", "Book_bar_1", DRAWER)
    heat = game_file(4, "Egg", "SideTable", [egg, fork], DRAWER, SHELF, FRIDGE, MICROWAVE)
    # As in some official games, one thing is in two receptacles at once, here also where it shall go.
    twice = heat.problem.replace("(:init", "(:init (inReceptacle Egg_bar_1 SideTable_bar_1)")
    return {
        "place": game_file(1, "Fork", "SideTable", [mug, knife, fork], DRAWER, SHELF, FRIDGE),
        "look": game_file(2, "Book", "DeskLamp", [book, mug, egg, lamp], DRAWER, SHELF, FRIDGE, DESK),
        "clean": game_file(3, "Knife", "Drawer", [knife, egg], DRAWER, SHELF, SINK, FRIDGE),
        "heat": heat,
        "twice": replace(heat, problem=twice),
        "cool": game_file(5, "Mug", "Microwave", [mug, fork], DRAWER, SHELF, FRIDGE, MICROWAVE),
        "two": game_file(6, "Mug", "SinkBasin", [mug, other_mug, fork], DRAWER, SHELF, FRIDGE, SINK),
    }


@pytest.fixture(scope="session")
def small() -> dict[str, GameFile]:
    return small_games()


@pytest.fixture
def env() -> AlfworldEnv:
    return AlfworldEnv()
