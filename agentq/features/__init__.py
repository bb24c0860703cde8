"""Frozen features of a backbone, computed once, stored on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentq.features.key import FeatureKey
from agentq.features.store import FeatureStore, FeatureStoreWarning

if TYPE_CHECKING:
    from agentq.features.extract import FeatureExtractor
    from agentq.features.log import Extraction, extract_log, logged_pairs

__all__ = [
    "Extraction",
    "FeatureExtractor",
    "FeatureKey",
    "FeatureStore",
    "FeatureStoreWarning",
    "extract_log",
    "logged_pairs",
]


def __getattr__(name: str) -> Any:  # torch loads only when features are computed
    if name == "FeatureExtractor":
        from agentq.features.extract import FeatureExtractor

        return FeatureExtractor
    if name in ("Extraction", "extract_log", "logged_pairs"):
        from agentq.features import log

        return getattr(log, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
