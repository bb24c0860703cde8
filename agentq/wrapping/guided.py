"""What every wrapped agent has besides what it had before."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from agentq.errors import MissingExtraError
from agentq.types import Decision
from agentq.wrapping.guide import Guide
from agentq.wrapping.session import Session


class Guided:
    """A wrapped agent: its guide, its last decisions and its sessions."""

    guide: Guide

    @property
    def decisions(self) -> deque[Decision]:
        """The last decisions, oldest first."""
        return self.guide.decisions

    def session(
        self,
        task: str,
        seed: int = 0,
        *,
        environment: str = "",
        metadata: Mapping[str, Any] | None = None,
        episode: str | None = None,
    ) -> Session:
        """An episode to be logged: ``with guided.session("task") as s: ... s.reward(1.0)``."""
        return self.guide.session(task, seed, environment=environment, metadata=metadata, episode=episode)


def missing_extra(extra: str, error: ImportError) -> MissingExtraError:
    """What an adapter raises when its framework cannot be imported."""
    return MissingExtraError(
        f"wrapping this agent needs the extra {extra!r}, which is not installed or too old ({error}). "
        f'Run: pip install "agentq[{extra}]"'
    )
