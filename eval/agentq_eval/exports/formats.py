"""Finds the formats of this package by their files and runs one."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import shutil
from pathlib import Path
from typing import Protocol, cast

from agentq.errors import ConfigError

_PACKAGE = __name__.rpartition(".")[0]
_MACHINERY = frozenset({"formats", "rows"})  # files of this package that are no format


class Format(Protocol):
    """What a module of this package has."""

    FILE: str  # what it writes when no path is given; with ``steps`` its stem is "steps"

    def write(self, folder: Path, output: Path, *, steps: bool = False) -> None:
        """Write the run in ``folder`` to the file (or as the folder) ``output``."""
        ...


def format_names() -> tuple[str, ...]:
    """Every format, sorted; nothing is imported."""
    package = importlib.import_module(_PACKAGE)
    return tuple(sorted({i.name for i in pkgutil.iter_modules(package.__path__)} - _MACHINERY))


def load_format(name: str) -> Format:
    """The format called ``name``. Raises ``ConfigError`` for an unknown one."""
    known = format_names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"no format {name!r}: expected one of {', '.join(known)}.{hint}")
    return cast(Format, importlib.import_module(f"{_PACKAGE}.{name}"))


def export(folder: Path, name: str, output: Path | None = None, *, steps: bool = False) -> Path:
    """Write the run in ``folder`` in the format ``name``; returns where.

    Without ``output`` it is a file (or folder) of the format's usual name inside the run.
    Raises ``ConfigError`` for an unknown format, ``EvaluationError`` where there is nothing to export.
    """
    chosen = load_format(name)
    usual = Path(chosen.FILE)
    path = output or folder / (f"steps{usual.suffix}" if steps else usual.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")  # it appears whole or not at all
    try:
        chosen.write(folder, draft, steps=steps)
        _place(draft, path)
    finally:
        if draft.is_dir():
            shutil.rmtree(draft)
        draft.unlink(missing_ok=True)
    return path


def _place(draft: Path, path: Path) -> None:
    """Move a file, or the files of a folder into the one that may be there already."""
    if not draft.is_dir():
        draft.replace(path)
        return
    path.mkdir(exist_ok=True)
    for file in draft.iterdir():
        file.replace(path / file.name)
