"""The native simulator beside the stock engine, where AGENTQ_ALFWORLD_PYTHON names an interpreter with it.

``.ci/alfworld-environment FOLDER`` makes such an environment. AGENTQ_ALFWORLD_SEED chooses other games.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agentq.errors import DataError, InfrastructureError, MissingExtraError
from agentq_data.alfworld.game_file import GameFile
from agentq_data.alfworld.generator import generate_game
from agentq_data.alfworld.packed import PackedGames
from agentq_envs.alfworld.env import AlfworldEnv
from agentq_envs.alfworld.game import build_game
from agentq_envs.alfworld.players import ENGINE_PYTHON, EnginePlayer, EngineProcess, engine_python
from agentq_envs.alfworld.simulator import Simulator

SEED = int(os.environ.get("AGENTQ_ALFWORLD_SEED", "20261"))
needs_engine = pytest.mark.skipif(
    not os.environ.get(ENGINE_PYTHON), reason=f"{ENGINE_PYTHON} names no interpreter with the stock engine"
)


@pytest.fixture(scope="module")
def engine() -> Iterator[EngineProcess]:
    process = EngineProcess()
    yield process
    process.close()


def check_randomly(engine: EngineProcess, file: GameFile, steps: int) -> None:
    """Both back-ends through one random walk, wrong commands among the right ones."""
    rng = random.Random(f"{SEED} {file.game_id}")
    native, stock = Simulator(build_game(file)), EnginePlayer(engine, file)
    mine, theirs = native.reset(), stock.reset()
    command = "reset"
    for _ in range(steps + 1):
        assert mine == theirs, (file.game_id, command)
        # Fewer walks: most of what can differ happens at one place.
        doing = [c for c in mine.admissible if not c.startswith("go to ")]
        command = rng.choice(doing if rng.random() < 0.7 else [*mine.admissible, "dance", "LOOK", ""])
        mine, theirs = native.step(command), stock.step(command)


@needs_engine
@pytest.mark.slow
def test_a_hundred_random_games_are_identical(engine: EngineProcess) -> None:
    for index in range(100):
        check_randomly(engine, generate_game(SEED, index), 50)


@needs_engine
@pytest.mark.slow
def test_official_games_are_identical(engine: EngineProcess, shared_data: Path) -> None:
    games = PackedGames(shared_data / "alfworld" / "official")
    rng = random.Random(SEED)
    for game_id in rng.sample([i for i in games.ids if i.startswith("valid_")], 6):
        check_randomly(engine, games.load(game_id), 30)


@needs_engine
@pytest.mark.slow
def test_oddities_of_a_game_are_identical(engine: EngineProcess, small: dict[str, GameFile]) -> None:
    walk = ["go to sidetable 1", "take mug 2 from sidetable 1", "open drawer 1", "look", "move mug 2 to sidetable 1",
            "take fork 1 from drawer 1", "move fork 1 to sidetable 1", "look", "take fork 1 from sidetable 1",
            "move fork 1 to drawer 1", "look", "help", "inventory"]  # fmt: skip
    for file in (small["two"], small["twice"]):
        native, stock = Simulator(build_game(file)), EnginePlayer(engine, file)
        assert native.reset() == stock.reset()
        plan = file.walkthrough or ()
        for command in [*walk, *plan]:
            assert native.step(command) == stock.step(command), command


@needs_engine
@pytest.mark.slow
def test_starts_that_no_official_game_has_are_identical(
    engine: EngineProcess, small: dict[str, GameFile]
) -> None:
    fork = "(inReceptacle Fork_bar_1 Drawer_bar_1)"
    held = "(holds agent1 Fork_bar_1) (holdsAny agent1) (opened Drawer_bar_1)"
    changed = "(isHot Egg_bar_1) (isClean Egg_bar_1) (isSliced Egg_bar_1)"
    two, look, heat = small["two"].problem, small["look"].problem, small["heat"].problem
    untyped = two.replace("(:objects", "(:objects Egg_bar_9 - object").replace(
        "(:init", "(:init (pickupable Egg_bar_9) (inReceptacle Egg_bar_9 SideTable_bar_1)"
    )
    for file in (
        replace(small["two"], problem=two.replace(fork, held)),
        replace(small["two"], problem=untyped),
        replace(small["look"], problem=look.replace("(:init", "(:init (pickupable DeskLamp_bar_1)")),
        replace(small["heat"], problem=heat.replace("(:init", f"(:init {changed}")),
        replace(
            small["heat"], problem=heat.replace("(:init", "(:init (inReceptacleObject Fork_bar_1 Egg_bar_1)")
        ),
    ):
        check_randomly(engine, file, 60)
    lamp = replace(small["look"], problem=look.replace("(:init", "(:init (pickupable DeskLamp_bar_1)"))
    native, stock = Simulator(build_game(lamp)), EnginePlayer(engine, lamp)
    assert native.reset() == stock.reset()
    for command in ("go to desk 1", "use desklamp 1", "take desklamp 1 from desk 1", "examine desklamp 1"):
        assert native.step(command) == stock.step(command), command


@needs_engine
@pytest.mark.slow
def test_the_environment_plays_the_same_with_either_backend() -> None:
    native, stock = AlfworldEnv(), AlfworldEnv(backend="textworld")
    assert stock.reset(options={"index": 3}) == native.reset(options={"index": 3})
    plan = native.expert_plan()
    assert plan
    assert stock.expert_plan() == plan
    assert stock.lookahead(plan[:2]) == native.lookahead(plan[:2])
    halfway = len(plan) // 2
    for action in plan[:halfway]:
        assert stock.step(action)[:4] == native.step(action)[:4]
    snapshot = stock.snapshot()
    stock.step("look")
    stock.step(plan[halfway])
    assert stock.restore(snapshot)[0] == native.observation  # plays the commands again
    stock.step("look")
    native.step("look")
    assert native.restore(snapshot)[0] == stock.restore(snapshot)[0]  # a snapshot of the other backend
    for action in plan[halfway:]:
        assert stock.step(action)[:4] == native.step(action)[:4]
    assert stock.step("look")[2]  # it is over
    stock.close()


@needs_engine
def test_what_the_engine_refuses_is_said(engine: EngineProcess, small: dict[str, GameFile]) -> None:
    file = small["two"]
    broken = GameFile(file.game_id, "(define", file.grammar, file.problem, file.goal_text)
    with pytest.raises(DataError, match="the stock engine refuses the game"):
        EnginePlayer(engine, broken).reset()
    assert EnginePlayer(engine, file).reset().admissible  # and it goes on


def test_without_the_engine_the_way_to_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENGINE_PYTHON, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'agentq\[alfworld\]'"):
        engine_python()
    with pytest.raises(MissingExtraError, match="AGENTQ_ALFWORLD_PYTHON"):
        AlfworldEnv(backend="textworld").reset(seed=0)


def test_an_interpreter_without_the_engine_is_an_infrastructure_error(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no such module >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(InfrastructureError, match=r"ended at 'start'.*last words: no such module"):
        EngineProcess(str(python))
