"""Environments of AgentQ."""

from __future__ import annotations

from typing import Any

WEBSHOP_ID = "agentq/WebShop-v0"


def register_environments() -> None:
    """Make the environments known to ``gymnasium.make``; called through the package's entry point.

    Gymnasium puts the entry point's name in front of ids without a namespace, and calling this twice
    (by hand after the entry point) is harmless.
    """
    import gymnasium

    if WEBSHOP_ID not in gymnasium.registry:
        # The environment truncates by itself and has its own checks, so it needs no TimeLimit wrapper.
        gymnasium.register(id=WEBSHOP_ID, entry_point="agentq_envs.webshop.env:WebShopEnv")


def make_webshop(**options: Any) -> Any:
    """``gymnasium.make("agentq/WebShop-v0", **options)``, registered or not."""
    import gymnasium

    register_environments()
    return gymnasium.make(WEBSHOP_ID, **options)
