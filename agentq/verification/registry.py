"""Finds checks by name, as selectors are found: the files of this package, and entry points of other packages.

A new check here is one new file whose dataclass carries the file's name as ``name``; elsewhere it is an entry
point in the group ``agentq.checks``.
"""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from agentq.errors import ConfigError
from agentq.registry import Registry

if TYPE_CHECKING:
    from agentq.verification.base import Check

GROUP = "agentq.checks"
_CHECKS = Registry(
    "check",
    __name__.rpartition(".")[0],
    frozenset({"base", "history", "registry", "resampling"}),  # files that hold no check
    lambda: entry_points(group=GROUP),
)


def check_names() -> tuple[str, ...]:
    """Every name that ``load_check`` knows, sorted."""
    return _CHECKS.names()


def load_check(name: str, **options: Any) -> Check:
    """Make the check called ``name`` with its options, e.g. ``load_check("repeated", times=2)``.

    Raises ``ConfigError`` for an unknown name or option (suggesting near ones), a missing one, or an impossible value.
    """
    try:
        return _CHECKS.load(name, **options)
    except TypeError as error:  # an option without a default is missing, or has a value of the wrong type
        raise ConfigError(f"check {name!r}: {error}. Give it its options, e.g. repeated:times=2.") from error


def check_of(text: str) -> Check:
    """The check that a word of a command line names: ``repeated``, ``repeated:times=2,window=4``.

    Values are YAML scalars, or else the text itself (a regular expression). Raises ``ConfigError``.
    """
    name, _, rest = text.partition(":")
    options: dict[str, Any] = {}
    for part in filter(None, re.split(r",(?=[a-z_]+=)", rest)):  # a comma may stand in a value
        key, equals, value = part.partition("=")
        if not equals:
            raise ConfigError(
                f"check {text!r}: {part!r} is no key=value; write e.g. repeated:times=2,window=4."
            )
        options[key] = _scalar(value)
    return load_check(name, **options)


def _scalar(value: str) -> Any:
    from agentq.config_yaml import parse_yaml  # yaml is slow to import

    try:
        found = parse_yaml(value, "--check")
    except ConfigError:
        return value
    return found if isinstance(found, str | int | float | bool) else value
