from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agentq.errors import DataError
from agentq_data.alfworld.game_file import TASK_TYPES, read_game
from agentq_data.alfworld.generator import (
    GeneratedGames,
    domain_text,
    generate_game,
    grammar_template,
    scene_split,
    write_games,
)
from agentq_data.alfworld.generator.layout import lay_out
from agentq_data.alfworld.generator.problem import goal_text
from agentq_data.alfworld.generator.rooms import FIRST_SCENE, FURNITURE, KINDS, PLACES, SCENERY, THINGS
from agentq_data.alfworld.generator.scenes import scene
from agentq_data.dice import Dice


def test_the_same_seed_and_number_give_the_same_bytes() -> None:
    # Raise GAMES_VERSION when these change.
    frozen = ["1634a140", "e35e8601", "d5ef531b", "c6cc56b8"]
    assert [generate_game(0, index).content_hash for index in (0, 1, 5, 1234)] == frozen
    assert generate_game(1, 0).content_hash != generate_game(0, 0).content_hash


def test_task_types_take_turns_and_phrases_vary() -> None:
    games = [generate_game(0, index) for index in range(60)]
    assert [game.task_type for game in games[:6]] == list(TASK_TYPES)
    assert {game.goal_text.split()[0] for game in games if game.task_type == TASK_TYPES[3]} == {"put", "heat"}
    assert len({game.game_id for game in games}) == 60


def test_every_game_has_a_plan_of_reasonable_length() -> None:
    lengths = {kind: set[int]() for kind in TASK_TYPES}
    for index in range(300):
        game = generate_game(2, index)
        assert game.walkthrough is not None
        lengths[game.task_type].add(len(game.walkthrough))
    assert {kind: (min(found) >= 2, max(found) <= 12) for kind, found in lengths.items()} == dict.fromkeys(
        TASK_TYPES, (True, True)
    )


def test_no_wanted_object_starts_where_it_shall_go() -> None:
    for index in range(240):
        task = KINDS[index % 6]
        dice = Dice(f"layout {index}")
        room = scene(0, FIRST_SCENE[dice.pick(task.rooms)] + dice.below(30))
        layout = lay_out(room, task, dice)
        if layout is None:
            continue
        wanted = [thing for thing in layout.things if thing.kind == layout.wanted]
        assert len(wanted) >= task.count
        assert all(thing.receptacle.kind != layout.target for thing in wanted)
        assert f"{layout.wanted}Type" in goal_text(layout)
        for thing in layout.things:
            assert thing.receptacle in room.receptacles
            assert PLACES[thing.kind][thing.receptacle.kind] > 0
            assert thing.inside is None or thing.inside.receptacle is thing.receptacle


def test_a_room_without_the_device_has_no_such_task() -> None:
    bathroom = scene(0, 401)
    assert lay_out(bathroom, KINDS[3], Dice(0)) is None
    assert lay_out(bathroom, KINDS[2], Dice(0)) is not None


def test_the_tables_fit_together() -> None:
    furniture = {kind for room in FURNITURE.values() for kind in room}
    for room, things in THINGS.items():
        for thing in things:
            assert set(PLACES[thing]) <= furniture, thing
            at_home = {place for place, weight in PLACES[thing].items() if weight}
            assert at_home & set(FURNITURE[room]), f"{thing} has no place in a {room}"
    assert set(PLACES) == {thing for things in THINGS.values() for thing in things}
    for task in KINDS:
        assert not (task.objects or frozenset()) & SCENERY


def test_rooms_stay_as_they_are_and_differ() -> None:
    rooms = [scene(0, number) for first in FIRST_SCENE.values() for number in range(first, first + 30)]
    assert len({repr(room.receptacles) for room in rooms}) == 120
    shared = [
        len(room.receptacles) - len({receptacle.location for receptacle in room.receptacles})
        for room in rooms
    ]
    assert 0 < sum(shared) < 0.3 * sum(len(room.receptacles) for room in rooms)
    for room in rooms:
        assert 6 <= len(room.receptacles) <= 30
        assert room.start not in {receptacle.location for receptacle in room.receptacles}
    with pytest.raises(DataError, match="there is no scene 31"):
        scene(0, 31)


def test_each_kind_of_room_keeps_scenes_for_validation_and_test() -> None:
    for first in FIRST_SCENE.values():
        splits = [scene_split(number) for number in range(first, first + 30)]
        assert splits == ["train"] * 24 + ["validation"] * 3 + ["test"] * 3


def test_a_collection_finds_its_games_by_id() -> None:
    games = GeneratedGames(seed=3, count=4)
    assert [games.load(game_id) for game_id in games.ids] == [games.game_at(index) for index in range(4)]
    with pytest.raises(IndexError):
        games.game_at(4)
    good = games.ids[0]
    for wrong in (
        good.replace("_3_", "_4_"),
        good.replace("household", "valid"),
        good + "0",
        "",
        good.upper(),
    ):
        with pytest.raises(KeyError):
            games.load(wrong)


@pytest.mark.parametrize(("seed", "index"), [(-1, 0), (0, -1), (0, 10**10), (True, 0), ("0", 0)])
def test_numbers_out_of_range_are_refused(seed: int, index: int) -> None:
    with pytest.raises(DataError, match="expected a whole number from 0"):
        generate_game(seed, index)


def test_written_games_read_back_equal(tmp_path: Path) -> None:
    paths = list(write_games(tmp_path, 6, seed=1, first=2))
    assert [read_game(path) for path in paths] == [generate_game(1, index) for index in range(2, 8)]
    record = json.loads(paths[5].with_name("traj_data.json").read_text())
    assert record["task_type"] == generate_game(1, 7).task_type == "look_at_obj_in_light"
    assert record["pddl_params"]["toggle_target"] == "DeskLamp"
    assert record["pddl_params"]["parent_target"] == ""


def test_the_command_writes_games(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "agentq_data.alfworld.generator", "--out", str(tmp_path), "--games"]
    done = subprocess.run([*words, "2"], capture_output=True, text=True, check=True)
    assert [Path(line).is_file() for line in done.stdout.splitlines()] == [True, True]
    failed = subprocess.run([*words, "1", "--seed", "-1"], capture_output=True, text=True, check=False)
    assert failed.returncode == 2
    assert "seed=-1" in failed.stderr


def test_domain_and_grammar_speak_of_the_same_actions() -> None:
    named = {line.split()[1] for line in domain_text().splitlines() if line.strip().startswith("(:action")}
    spoken = {line.split()[1] for line in grammar_template().splitlines() if line.startswith("action ")}
    assert named == spoken
    assert len(named) == 15
