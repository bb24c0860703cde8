"""HotPotQA as an agent environment: search, look up, answer; against a local corpus of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentq_envs.hotpotqa.corpus import Corpus, MemoryCorpus
    from agentq_envs.hotpotqa.env import HotPotQAEnv
    from agentq_envs.hotpotqa.index import SqliteCorpus, build_corpus
    from agentq_envs.hotpotqa.session import Session
    from agentq_envs.hotpotqa.tasks import TaskSet

__all__ = ["Corpus", "HotPotQAEnv", "MemoryCorpus", "Session", "SqliteCorpus", "TaskSet", "build_corpus"]

GYMNASIUM_ID = "agentq/HotPotQA-v0"
GYMNASIUM_CLASS = "env:HotPotQAEnv"

_MODULES = {
    "Corpus": "corpus",
    "HotPotQAEnv": "env",
    "MemoryCorpus": "corpus",
    "Session": "session",
    "SqliteCorpus": "index",
    "TaskSet": "tasks",
    "build_corpus": "index",
}


def __getattr__(name: str) -> Any:
    """Import on first use: the environment needs Gymnasium, the corpus does not."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
