"""AgentQ: policies propose, critics value, selectors choose.

Every public name is imported on first use, so ``import agentq`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentq.config import load_config
    from agentq.critics.base import Critic, Scores
    from agentq.errors import AgentQError
    from agentq.policies.base import Policy
    from agentq.selectors.base import Selection, Selector
    from agentq.types import Candidate, Decision, Message, Messages, Step, Trajectory

__version__ = "0.1.0"

__all__ = [
    "AgentQError",
    "Candidate",
    "Critic",
    "Decision",
    "Message",
    "Messages",
    "Policy",
    "Scores",
    "Selection",
    "Selector",
    "Step",
    "Trajectory",
    "load_config",
]

_MODULES = {
    "agentq.config": ("load_config",),
    "agentq.critics.base": ("Critic", "Scores"),
    "agentq.errors": ("AgentQError",),
    "agentq.policies.base": ("Policy",),
    "agentq.selectors.base": ("Selection", "Selector"),
    "agentq.types": ("Candidate", "Decision", "Message", "Messages", "Step", "Trajectory"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'agentq' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
