"""An OpenAI-compatible endpoint that puts a critic behind any agent, in front of any server: ``agentq serve``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentq.gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from agentq.gateway.app import create_app

__all__ = ["GatewaySettings", "create_app"]


def __getattr__(name: str) -> Any:  # the server's libraries load only when one is made
    if name == "create_app":
        from agentq.gateway.app import create_app

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
