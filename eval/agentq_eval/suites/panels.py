"""Frozen task lists: from the environment that ships them, from a file, or from the suite itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentq.errors import DataError, TaskError
from agentq_eval.suites.suite import PanelSpec


@dataclass(frozen=True, slots=True)
class TaskPanel:
    """Task ids in their order, the hash of the whole panel, and optionally the stratum of each task."""

    name: str
    tasks: tuple[str, ...]
    hash: str  # SHA-256 in hex
    strata: Mapping[str, str] = field(default_factory=dict[str, str])


def content_hash(tasks: tuple[str, ...], strata: Mapping[str, str]) -> str:
    """SHA-256 of task ids and strata, for panels that bring no hash of their own."""
    content: dict[str, Any] = {"tasks": list(tasks), **({"strata": dict(strata)} if strata else {})}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def load_panel(spec: PanelSpec, env: Any) -> TaskPanel:
    """The panel's tasks, cut to ``spec.first``; its hash is that of the uncut panel.

    A panel by name comes from the environment's ``panel(name)``, whose result has ``name``, ``tasks`` and
    ``hash`` (and may have ``strata``). A file is JSON with ``tasks`` and optionally ``name``, ``strata`` and
    ``hash``. Raises ``TaskError`` when a hash does not fit or the environment ships no panels.
    """
    panel = _whole(spec, env)
    if spec.hash and spec.hash != panel.hash:
        raise TaskError(
            f"panel {panel.name!r} has the hash {panel.hash[:12]}, the suite was frozen with {spec.hash[:12]}: "
            "its tasks or data are others. Restore them, or freeze a new suite under another name."
        )
    if len(set(panel.tasks)) != len(panel.tasks):
        raise TaskError(f"panel {panel.name!r} names a task twice. Every task belongs there once.")
    tasks = panel.tasks[: spec.first]
    if not tasks or (spec.first or 0) > len(tasks):
        raise TaskError(
            f"panel {panel.name!r} has {len(panel.tasks)} tasks, expected at least {spec.first or 1}. "
            "Lower panel.first (--tasks)."
        )
    strata = {task: panel.strata[task] for task in tasks if task in panel.strata}
    if strata and len(strata) != len(tasks):
        raise TaskError(f"panel {panel.name!r} gives strata to {len(strata)} of {len(tasks)} tasks.")
    return TaskPanel(panel.name, tasks, panel.hash, strata)


def _whole(spec: PanelSpec, env: Any) -> TaskPanel:
    if spec.tasks:
        return TaskPanel("listed", spec.tasks, content_hash(spec.tasks, {}))
    if spec.file:
        return _from_file(Path(spec.file))
    environment = getattr(env, "unwrapped", env)
    find = getattr(environment, "panel", None)
    if not callable(find):
        raise TaskError(
            f"panel {spec.name!r}: {type(environment).__name__} ships no panels (it has no method panel(name)). "
            "List the tasks in the suite (panel.tasks), or name a file (panel.file)."
        )
    found: Any = find(spec.name)
    return TaskPanel(found.name, tuple(found.tasks), found.hash, getattr(found, "strata", {}))


def _from_file(path: Path) -> TaskPanel:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        tasks = tuple(str(task) for task in content["tasks"])
        strata = {str(task): str(stratum) for task, stratum in content.get("strata", {}).items()}
        name = str(content.get("name", path.stem))
        stored = content.get("hash")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is no panel file ({type(error).__name__}: {error}). Expected JSON with a list `tasks`."
        ) from error
    found = content_hash(tasks, strata)
    if stored is not None and stored != found:
        raise TaskError(
            f"panel {path} does not fit its hash (stored {str(stored)[:12]}, content {found[:12]}): it was "
            "changed after it was frozen. Restore it, or freeze it under another name."
        )
    return TaskPanel(name, tasks, found, strata)
