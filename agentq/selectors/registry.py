"""Finds selectors by name: the files of this package, and entry points of other packages.

A new selector here is one new file whose dataclass carries the file's name as ``name``; elsewhere it is an
entry point ``name = "package.module:Class"`` in the group ``agentq.selectors``. There is no list to extend.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import importlib.util
import pkgutil
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from agentq.errors import ConfigError

if TYPE_CHECKING:
    from agentq.selectors.base import Selector

GROUP = "agentq.selectors"
_PACKAGE = __name__.rpartition(".")[0]
_MACHINERY = frozenset(
    {"base", "bounds", "drawing", "priors", "registry"}
)  # files of this package that hold no selector


def selector_names() -> tuple[str, ...]:
    """Every name that ``load_selector`` knows, sorted; nothing heavy is imported."""
    return tuple(sorted({*_own_names(), *(point.name for point in _foreign())}))


def load_selector(name: str, **options: Any) -> Selector:
    """Make the selector called ``name`` with its options, e.g. ``load_selector("softmax", temperature=0.1)``.

    Raises ``ConfigError`` for an unknown name or option (suggesting near ones) and ``SelectorError`` for an
    option whose value is impossible.
    """
    cls = _selector_class(name)
    known = {field.name for field in dataclasses.fields(cls) if field.init}
    for option in options:
        if option not in known:
            raise ConfigError(
                f"selector {name!r} has no option {option!r}; it takes {_listed(known)}"
                f"{_suggestion(option, known)}"
            )
    return cls(**options)


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


def _selector_class(name: str) -> type[Any]:
    if name in _own_names():
        module = importlib.import_module(f"{_PACKAGE}.{name}")
        for value in vars(module).values():
            if dataclasses.is_dataclass(value) and getattr(value, "name", None) == name:
                return value  # pyright: ignore[reportReturnType]
        raise ConfigError(f"{module.__name__} defines no dataclass named {name!r}; give its class that name.")
    for point in _foreign():
        if point.name == name:
            cls = point.load()
            if not dataclasses.is_dataclass(cls):
                raise ConfigError(
                    f"entry point {point.value!r} of {name!r} is no dataclass; see agentq.selectors."
                )
            return cls  # pyright: ignore[reportReturnType]
    names = selector_names()
    raise ConfigError(f"selector {name!r} is unknown; known are {_listed(names)}{_suggestion(name, names)}")


def _own_names() -> list[str]:
    spec = importlib.util.find_spec(_PACKAGE)
    places = spec.submodule_search_locations if spec is not None else None
    found = (module.name for module in pkgutil.iter_modules(places))
    return [name for name in found if name not in _MACHINERY and not name.startswith("_")]


def _foreign() -> Iterable[EntryPoint]:
    return entry_points(group=GROUP)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _suggestion(wrong: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(wrong, list(names), n=1)
    return f". Did you mean {near[0]!r}?" if near else "."
