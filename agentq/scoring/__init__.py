"""How N candidates of one state are scored at the cost of about one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentq.scoring.shared_prefix import score_features

__all__ = ["score_features"]


def __getattr__(name: str) -> Any:  # torch and transformers load only when something is scored
    if name == "score_features":
        from agentq.scoring.shared_prefix import score_features

        return score_features
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
