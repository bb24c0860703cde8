from __future__ import annotations

import json
import lzma
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentq.errors import ConfigError, DataError
from agentq_data.alfworld.folders import FolderGames, official_folder
from agentq_data.alfworld.game_file import (
    GameFile,
    game_id_of,
    read_game,
    task_type_of,
    trajectory_record,
    write_game,
)
from agentq_data.alfworld.generator import generate_game, grammar_template
from agentq_data.alfworld.naming import player_names
from agentq_data.alfworld.packed import PackedGames, is_packed


def game(split: str, index: int, trial: str = "trial_x") -> GameFile:
    """A generated game under an id as the benchmark has them."""
    made = generate_game(0, index)
    return replace(made, game_id=f"{split}/{made.game_id.split('/')[1]}/{trial}")


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Two splits in folders, with games that the stock loader skips among them."""
    root = tmp_path / "json_2.1.1"
    for split, index in (("train", 0), ("train", 1), ("valid_seen", 2)):
        write_game(game(split, index), root)
    write_game(replace(game("train", 3), solvable=False), root)
    write_game(
        replace(game("train", 4), game_id="train/pick_and_place_simple-AppleSliced-None-Desk-301/t"), root
    )
    write_game(
        replace(game("train", 5), game_id="train/pick_and_place_with_movable_recep-Pen-Mug-Desk-301/t"), root
    )
    return root


def test_a_folder_has_the_games_that_the_stock_loader_plays(release: Path) -> None:
    games = FolderGames(release)
    assert games.ids == sorted(
        game(split, index).game_id for split, index in (("train", 0), ("train", 1), ("valid_seen", 2))
    )
    assert games.load(game("train", 1).game_id) == game("train", 1)
    assert FolderGames(release / "train").load(game("train", 1).game_id) == game("train", 1)
    assert len(FolderGames(release / "valid_seen").ids) == 1
    skipped = "train/pick_and_place_simple-AppleSliced-None-Desk-301/t"
    for unknown in ("train/x/y", "", "../json_2.1.1/train", skipped, game("train", 3).game_id):
        with pytest.raises(KeyError):
            FolderGames(release).load(unknown)
    with pytest.raises(KeyError):  # it lies beside this folder, not in it
        FolderGames(release / "train").load(game("valid_seen", 2).game_id)


def test_the_official_folder_is_named_by_a_variable(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALFWORLD_DATA", str(release.parent))
    assert official_folder() == release
    monkeypatch.setenv("ALFWORLD_DATA", str(release))
    with pytest.raises(DataError, match="is no folder"):
        official_folder()
    monkeypatch.delenv("ALFWORLD_DATA")
    with pytest.raises(ConfigError, match="ALFWORLD_DATA is not set"):
        official_folder()


def test_an_empty_or_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        FolderGames(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"holds no game\.tw-pddl"):
        _ = FolderGames(tmp_path).ids


def test_ids_hashes_and_types() -> None:
    made = game("valid_seen", 2)
    assert game_id_of(made.task_id) == (made.game_id, made.content_hash)
    assert game_id_of(made.game_id) == (made.game_id, "")
    assert made.task_type == task_type_of(made.task_id) == "pick_clean_then_place_in_recep"
    assert replace(made, problem=made.problem + " ").content_hash != made.content_hash
    assert replace(made, goal_text="other").content_hash != made.content_hash
    with pytest.raises(DataError, match="names no task type"):
        task_type_of("train/pick_nothing-Mug/t")


def test_a_game_in_a_movable_receptacle_keeps_it() -> None:
    record = trajectory_record("train/pick_and_place_simple-Pen-Mug-Desk-301/t")
    assert record["pddl_params"]["mrecep_target"] == "Mug"
    assert record["scene"] == {"scene_num": 301}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"walkthrough": ...}, "has the keys"),
        ({"more": 1}, "has the keys"),
        ({"pddl_domain": None}, "pddl_domain is NoneType"),
        ({"grammar": "nothing"}, "no sentence"),
    ],
)
def test_broken_game_files_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = write_game(game("train", 0), tmp_path)
    record = {**json.loads(path.read_text()), **change}
    path.write_text(json.dumps({key: value for key, value in record.items() if value is not ...}))
    with pytest.raises(DataError, match=message):
        read_game(path)
    for content in ("{", "[]"):
        path.write_text(content)
        with pytest.raises(DataError, match=r"game\.tw-pddl"):
            read_game(path)


def test_names_count_down_in_the_order_of_ids() -> None:
    names = player_names(["Mug_bar_b", "Mug_bar_a", "Sink_bar_1_bar_SinkBasin", "Sink_bar_1", "MUG_bar_a"])
    assert names == {
        "mug_bar_a": "mug 2",
        "mug_bar_b": "mug 1",
        "sink_bar_1": "sink 1",
        "sink_bar_1_bar_sinkbasin": "sinkbasin 1",
    }


def packed_folder(root: Path, games: list[GameFile]) -> Path:
    """The games as the packed form stores them."""
    logic = {
        "pddl_domain": games[0].domain,
        "grammar_template": grammar_template(),
        "task_placeholder": "UNKNOWN GOAL",
    }
    (root / "logic_official.json").write_text(json.dumps(logic))
    rows = [
        {"game_id": g.game_id, "task": g.goal_text, "pddl_problem": g.problem, "solvable": g.solvable,
         "walkthrough": g.walkthrough}
        for g in games
    ]  # fmt: skip
    with lzma.open(root / "valid_seen.jsonl.xz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return root


def test_packed_games_are_the_games(tmp_path: Path) -> None:
    games = [game("valid_seen", index) for index in range(3)]
    packed = PackedGames(packed_folder(tmp_path, games))
    assert is_packed(tmp_path)
    assert packed.splits == ["valid_seen"]
    assert packed.ids == [made.game_id for made in games]
    assert [packed.load(made.game_id) for made in games] == games
    for unknown in ("valid_seen/x", "train/x", ""):
        with pytest.raises(KeyError):
            packed.load(unknown)


@pytest.mark.parametrize("name", ["logic_official.json", "valid_seen.jsonl.xz"])
def test_broken_packed_files_are_refused(tmp_path: Path, name: str) -> None:
    packed_folder(tmp_path, [game("valid_seen", 0)])
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="Restore the file"):
        _ = PackedGames(tmp_path).ids


@pytest.mark.slow
def test_the_official_games_are_complete(shared_data: Path) -> None:
    packed = PackedGames(shared_data / "alfworld" / "official")
    unseen = [game_id for game_id in packed.ids if game_id.startswith("valid_unseen/")]
    assert (len(packed.ids), len(unseen)) == (3827, 134)
    made = packed.load(unseen[0])
    assert made.solvable is True
    assert f"Your task is to: {made.goal_text}." in made.grammar
