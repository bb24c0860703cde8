"""What every wrapped agent has besides what it had before."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentq.errors import MissingExtraError
from agentq.types import Decision
from agentq.wrapping.session import Session

if TYPE_CHECKING:
    from agentq.wrapping.guide import Guide


class Guided:
    """A wrapped agent: its guide, its last decisions and its sessions."""

    if TYPE_CHECKING:  # an annotation at run time would become a field of LangChain's models
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
        return Session(self.guide, task, seed, environment=environment, metadata=metadata, episode=episode)


def missing_extra(extra: str, error: ImportError) -> MissingExtraError:
    """What an adapter raises when its framework cannot be imported."""
    return MissingExtraError(
        f"wrapping this agent needs the extra {extra!r}, which is not installed or too old ({error}). "
        f'Run: pip install "agentq[{extra}]"'
    )
