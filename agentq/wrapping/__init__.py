"""Put a critic behind an agent that exists: ``wrap`` and what belongs to it."""

from __future__ import annotations

from agentq.wrapping.dispatch import supported, wrap
from agentq.wrapping.guide import GuidanceWarning, Guide, GuideStatistics
from agentq.wrapping.session import Session

__all__ = ["GuidanceWarning", "Guide", "GuideStatistics", "Session", "supported", "wrap"]
