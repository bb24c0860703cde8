"""ALFWorld's text games in pure Python: simulator, planner, panels, and the Gymnasium environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentq_envs.alfworld.env import AlfworldEnv, Snapshot
    from agentq_envs.alfworld.game import Game, build_game
    from agentq_envs.alfworld.games import Library
    from agentq_envs.alfworld.planner import Planner
    from agentq_envs.alfworld.simulator import Simulator

__all__ = ["AlfworldEnv", "Game", "Library", "Planner", "Simulator", "Snapshot", "build_game"]

GYMNASIUM_ID = "agentq/ALFWorld-v0"
GYMNASIUM_CLASS = "env:AlfworldEnv"

_MODULES = {
    "AlfworldEnv": "env",
    "Snapshot": "env",
    "Game": "game",
    "build_game": "game",
    "Library": "games",
    "Planner": "planner",
    "Simulator": "simulator",
}


def __getattr__(name: str) -> Any:
    """Import on first use: the environment needs Gymnasium, the simulator does not."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
