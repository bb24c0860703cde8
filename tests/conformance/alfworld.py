"""Transcripts of the stock ALFWorld engine: every observation, command list, reward and end.

Made with textworld 1.7.0 and alfworld 0.4.2; the folder's README says how. A row is one game.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from agentq_data.alfworld.game_file import GameFile
from agentq_data.alfworld.packed import PackedGames
from agentq_envs.alfworld.game import build_game
from agentq_envs.alfworld.rules import RULES
from agentq_envs.alfworld.simulator import Simulator
from tests.conformance.runner import Check, compare, each_row


@lru_cache(maxsize=2)
def _packed(data: Path) -> PackedGames:
    return PackedGames(data / "alfworld" / "official")


def _generated(row: Any, data: Path) -> list[str]:
    # The row holds the problem alone; its domain and grammar are those of the package, which the rules stand for.
    game = GameFile(f"generated/{row['game_id']}", "", "", row["pddl_problem"], row["task"])
    return _transcript(Simulator(build_game(game, RULES[row["logic"]])), row)


def _official(row: Any, data: Path) -> list[str]:
    game = _packed(data).load(row["game_id"])
    assert game.task_type == row["task_type"]
    return _transcript(Simulator(build_game(game)), row)


def _transcript(simulator: Simulator, row: Any) -> list[str]:
    differences: list[str] = []
    for number, step in enumerate(row["steps"]):
        turn = simulator.reset() if step["action"] is None else simulator.step(step["action"])
        got = {
            "action": step["action"],
            "observation": turn.observation,
            "admissible_commands": list(turn.admissible),
            "reward": int(turn.won),
            "won": turn.won,
            "done": turn.won,
        }
        differences += compare(got, step, absolute=0.0, path=f"step {number}")
    return differences


CHECKS: dict[str, Check] = {"generated": each_row(_generated), "official": each_row(_official)}
