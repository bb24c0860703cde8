"""Evaluation: suites, runs with resume, statistics that can be trusted, reports and traces.

```python
import agentq_eval

report = agentq_eval.run("webshop-embedded", "runs/webshop", settings=agentq_eval.RunSettings(workers=2))
report["arms"]["best_of_n"]["score"]  # {"mean": ..., "low": ..., "high": ...}
```
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentq_eval.running.run import RunSettings as RunSettings
    from agentq_eval.running.run import run as run
    from agentq_eval.runs.reader import RunReader as RunReader
    from agentq_eval.suites.loading import load_suite as load_suite
    from agentq_eval.suites.suite import Suite as Suite

_PLACES = {
    "RunReader": "agentq_eval.runs.reader",
    "RunSettings": "agentq_eval.running.run",
    "Suite": "agentq_eval.suites.suite",
    "load_suite": "agentq_eval.suites.loading",
    "run": "agentq_eval.running.run",
}

__all__ = ["RunReader", "RunSettings", "Suite", "load_suite", "run"]


def __getattr__(name: str) -> Any:
    """Public names are imported on first use."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)
