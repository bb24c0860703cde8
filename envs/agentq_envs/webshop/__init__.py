"""WebShop in pure Python: the shop, its tasks and rewards, and the Gymnasium environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentq_envs.webshop.env import Snapshot, WebShopEnv
    from agentq_envs.webshop.server import GoalSettings, WebShopServer

__all__ = ["GoalSettings", "Snapshot", "WebShopEnv", "WebShopServer"]

GYMNASIUM_ID = "agentq/WebShop-v0"
GYMNASIUM_CLASS = "env:WebShopEnv"

_MODULES = {"Snapshot": "env", "WebShopEnv": "env", "GoalSettings": "server", "WebShopServer": "server"}


def __getattr__(name: str) -> Any:
    """Import on first use: the environment needs Gymnasium, the data files do not."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
