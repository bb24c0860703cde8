"""Finds the formats of this package by their files; loads neither torch nor a format."""

from __future__ import annotations

import importlib
import pkgutil

_PACKAGE = __name__.rpartition(".")[0]
_MACHINERY = frozenset({"formats", "linear", "names"})  # files of this package that are no format


def export_format_names() -> tuple[str, ...]:
    """Every format, sorted; a file's name with "-" for "_"."""
    package = importlib.import_module(_PACKAGE)
    files = {info.name for info in pkgutil.iter_modules(package.__path__)} - _MACHINERY
    return tuple(sorted(name.replace("_", "-") for name in files))
