"""Finds selectors by name: the files of this package, and entry points of other packages.

A new selector here is one new file whose dataclass carries the file's name as ``name``; elsewhere it is an
entry point ``name = "package.module:Class"`` in the group ``agentq.selectors``. There is no list to extend.
"""

from __future__ import annotations

import dataclasses
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from agentq.registry import Registry

if TYPE_CHECKING:
    from agentq.selectors.base import Selector

GROUP = "agentq.selectors"
_SELECTORS = Registry(
    "selector",
    __name__.rpartition(".")[0],
    frozenset({"base", "bounds", "drawing", "priors", "registry"}),  # files that hold no selector
    lambda: entry_points(group=GROUP),
)


def selector_names() -> tuple[str, ...]:
    """Every name that ``load_selector`` knows, sorted; nothing heavy is imported."""
    return _SELECTORS.names()


def load_selector(name: str, **options: Any) -> Selector:
    """Make the selector called ``name`` with its options, e.g. ``load_selector("softmax", temperature=0.1)``.

    Raises ``ConfigError`` for an unknown name or option (suggesting near ones) and ``SelectorError`` for an
    option whose value is impossible.
    """
    return _SELECTORS.load(name, **options)


def options_of(selector: Selector) -> dict[str, Any] | None:
    """The options that ``load_selector`` makes this selector with again, all of them: defaults may change.

    None for a selector that is no dataclass or holds something else than plain values: not known.
    """
    if not dataclasses.is_dataclass(selector):
        return None
    options = {
        field.name: getattr(selector, field.name) for field in dataclasses.fields(selector) if field.init
    }
    plain = all(isinstance(value, str | int | float | bool | None) for value in options.values())
    return options if plain else None
