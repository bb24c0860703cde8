"""Finds suites: the files of this package, entry points of other packages, and any YAML file by its path."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

from agentq.config import load_config
from agentq.errors import ConfigError
from agentq_eval.suites.suite import Suite

GROUP = "agentq.suites"  # entry points: name = "package.module:function", which returns the file's path


def suite_names() -> tuple[str, ...]:
    """Every name that ``load_suite`` knows, sorted."""
    return tuple(sorted({*_own(), *(point.name for point in entry_points(group=GROUP))}))


def load_suite(name: str | Path, settings: Sequence[str] = ()) -> Suite:
    """The suite of that name or of that YAML file, with ``key.inner=value`` settings laid over it.

    A panel file is found relative to the suite file. Raises ``ConfigError`` for an unknown name (suggesting
    a near one), an unreadable file or a setting that does not exist.
    """
    path = _path(name)
    changes = [word for text in settings for word in (f"--{text.partition('=')[0]}", text.partition("=")[2])]
    suite = load_config(Suite, ["--config", str(path), *changes])
    if suite.panel.file and not Path(suite.panel.file).is_absolute():
        panel = replace(suite.panel, file=str(path.parent / suite.panel.file))
        suite = replace(suite, panel=panel)
    return suite


def _path(name: str | Path) -> Path:
    own = _own()
    if str(name) in own:
        return own[str(name)]
    for point in entry_points(group=GROUP):
        if point.name == str(name):
            return Path(point.load()())
    path = Path(name).expanduser()
    if path.suffix in (".yaml", ".yml"):
        return path
    names = suite_names()
    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ConfigError(
        f"suite {str(name)!r} is unknown; known are {', '.join(names)}, or the path of a .yaml file.{hint}"
    )


def _own() -> dict[str, Path]:
    folder = Path(str(files("agentq_eval.suites")))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
