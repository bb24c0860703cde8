"""The official games, where they lie beside the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentq_data.alfworld.packed import PackedGames
from agentq_envs.alfworld.env import AlfworldEnv
from agentq_envs.alfworld.game import build_game
from agentq_envs.alfworld.games import Library
from agentq_envs.alfworld.panels import load_panel, official_panels
from agentq_envs.alfworld.simulator import Simulator
from tests.conformance.runner import load_checks, read_rows


@pytest.fixture(scope="module")
def official(shared_data: Path) -> Path:
    return shared_data / "alfworld" / "official"


@pytest.mark.parametrize("name", ["generated", "official"])
def test_alfworld_reference_vectors(shared_data: Path, name: str) -> None:
    rows, broken = read_rows(shared_data / "alfworld" / "vectors" / f"{name}.jsonl")
    result = load_checks("alfworld")[name](rows, shared_data)
    assert not broken
    assert result.failures == []
    assert result.passed == result.total == len(rows) > 0


@pytest.mark.parametrize("split", ["valid_seen", "valid_unseen"])
def test_shortest_plans_and_stored_walkthroughs_win_all_validation_games(official: Path, split: str) -> None:
    env = AlfworldEnv(official)
    tasks = env.panel(f"official-{split}").tasks
    for task in tasks:
        env.reset(options={"task": task})
        plan = env.expert_plan()
        assert plan is not None
        last = [env.step(action) for action in plan][-1]
        assert last[1:4] == (1.0, True, False)
        walkthrough = env.file.walkthrough
        assert walkthrough is not None
        assert len(plan) <= len(walkthrough)
        simulator = Simulator(build_game(env.file))
        assert [simulator.step(command).won for command in walkthrough][-1]
    assert len(tasks) == {"valid_seen": 140, "valid_unseen": 134}[split]


@pytest.mark.slow
def test_training_games_load_and_their_walkthroughs_win(official: Path) -> None:
    games = PackedGames(official)
    for game_id in games.ids[:3553:7]:
        file = games.load(game_id)
        simulator = Simulator(build_game(file))
        assert not simulator.reset().won
        assert file.walkthrough is not None
        assert [simulator.step(command).won for command in file.walkthrough][-1]


@pytest.mark.slow
def test_the_shipped_official_panels_are_those_of_the_games(official: Path) -> None:
    panels = official_panels(Library(PackedGames(official)))
    assert [load_panel(panel.name) for panel in panels] == panels
