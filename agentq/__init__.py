"""AgentQ: policies propose, critics value, selectors choose.

Every public name is imported on first use, so ``import agentq`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentq.agent import Agent
    from agentq.backbones import BackboneConfig, load_backbone
    from agentq.chooser import Chooser
    from agentq.config import load_config
    from agentq.critics.base import Critic, Scores
    from agentq.critics.q_head import QCritic
    from agentq.errors import AgentQError
    from agentq.policies.base import Policy
    from agentq.policies.huggingface import HuggingFacePolicy
    from agentq.policies.openai.policy import OpenAIPolicy
    from agentq.selectors.base import Selection, Selector
    from agentq.selectors.best_of_n import BestOfN
    from agentq.selectors.softmax import Softmax
    from agentq.trajectories.reader import TrajectoryReader
    from agentq.trajectories.writer import TrajectoryWriter
    from agentq.types import Candidate, Decision, Message, Messages, Step, Trajectory
    from agentq.wrapping import wrap

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "AgentQError",
    "BackboneConfig",
    "BestOfN",
    "Candidate",
    "Chooser",
    "Critic",
    "Decision",
    "HuggingFacePolicy",
    "Message",
    "Messages",
    "OpenAIPolicy",
    "Policy",
    "QCritic",
    "Scores",
    "Selection",
    "Selector",
    "Softmax",
    "Step",
    "Trajectory",
    "TrajectoryReader",
    "TrajectoryWriter",
    "load_backbone",
    "load_config",
    "wrap",
]

_MODULES = {
    "agentq.agent": ("Agent",),
    "agentq.backbones": ("BackboneConfig", "load_backbone"),
    "agentq.chooser": ("Chooser",),
    "agentq.config": ("load_config",),
    "agentq.critics.base": ("Critic", "Scores"),
    "agentq.critics.q_head": ("QCritic",),
    "agentq.errors": ("AgentQError",),
    "agentq.policies.base": ("Policy",),
    "agentq.policies.huggingface": ("HuggingFacePolicy",),
    "agentq.policies.openai.policy": ("OpenAIPolicy",),
    "agentq.selectors.base": ("Selection", "Selector"),
    "agentq.selectors.best_of_n": ("BestOfN",),
    "agentq.selectors.softmax": ("Softmax",),
    "agentq.trajectories.reader": ("TrajectoryReader",),
    "agentq.trajectories.writer": ("TrajectoryWriter",),
    "agentq.types": ("Candidate", "Decision", "Message", "Messages", "Step", "Trajectory"),
    "agentq.wrapping": ("wrap",),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'agentq' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
