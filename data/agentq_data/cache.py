"""Where files that are made once and read often are kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where generated files are kept: ``AGENTQ_CACHE``, else the user's cache folder."""
    if chosen := os.environ.get("AGENTQ_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentq"
