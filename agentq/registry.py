"""Parts of one kind by name: the files of a package, and entry points of other packages. There is no list to extend."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Any

from agentq.errors import ConfigError


@dataclass(frozen=True)
class Registry:
    """The parts of ``package``: each file holds a dataclass whose ``name`` is the file's.

    ``machinery`` are the files that hold none; ``foreign`` gives the entry points of other packages.
    """

    kind: str  # for errors: "selector"
    package: str
    machinery: frozenset[str]
    foreign: Callable[[], Iterable[EntryPoint]]

    def names(self) -> tuple[str, ...]:
        """Every name that ``load`` knows, sorted; nothing heavy is imported."""
        return tuple(sorted({*self._own_names(), *(point.name for point in self.foreign())}))

    def load(self, name: str, **options: Any) -> Any:
        """Make the part called ``name`` with its options.

        Raises ``ConfigError`` for an unknown name or option (suggesting near ones), and what the part raises
        for an option whose value is impossible.
        """
        cls = self._class(name)
        known = {field.name for field in dataclasses.fields(cls) if field.init}
        for option in options:
            if option not in known:
                raise ConfigError(
                    f"{self.kind} {name!r} has no option {option!r}; it takes {_listed(known)}"
                    f"{_suggestion(option, known)}"
                )
        return cls(**options)

    def _class(self, name: str) -> type[Any]:
        if name in self._own_names():
            module = importlib.import_module(f"{self.package}.{name}")
            for value in vars(module).values():
                if dataclasses.is_dataclass(value) and getattr(value, "name", None) == name:
                    return value  # pyright: ignore[reportReturnType]
            raise ConfigError(
                f"{module.__name__} defines no dataclass named {name!r}; give its class that name."
            )
        for point in self.foreign():
            if point.name == name:
                cls = point.load()
                if not dataclasses.is_dataclass(cls):
                    raise ConfigError(
                        f"entry point {point.value!r} of {name!r} is no dataclass; see {self.package}."
                    )
                return cls  # pyright: ignore[reportReturnType]
        names = self.names()
        raise ConfigError(
            f"{self.kind} {name!r} is unknown; known are {_listed(names)}{_suggestion(name, names)}"
        )

    def _own_names(self) -> list[str]:
        spec = importlib.util.find_spec(self.package)
        places = spec.submodule_search_locations if spec is not None else None
        found = (module.name for module in pkgutil.iter_modules(places))
        return [name for name in found if name not in self.machinery and not name.startswith("_")]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _suggestion(wrong: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(wrong, list(names), n=1)
    return f". Did you mean {near[0]!r}?" if near else "."
