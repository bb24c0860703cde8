"""The key ``agentq`` of a request's body: what one request may change, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from agentq.errors import ConfigError
from agentq.selectors import load_selector
from agentq.selectors.base import Selector

KEY = "agentq"
_MOST_ACTIONS = 10_000  # of a list of admissible ones


class RequestError(ConfigError):
    """A request says something that cannot be done; ``parameter`` is the place in its body."""

    def __init__(self, message: str, parameter: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter


@dataclass(frozen=True, slots=True)
class Overrides:
    """How one request is guided."""

    n: int
    selector: Selector
    enabled: bool = True  # False: passed through
    session: str | None = None
    task: str | None = None  # name of the session's task in the log; default: the session
    metadata: bool = False  # the answer tells about the decision
    admissible: tuple[str, ...] | None = None  # actions allowed in this state, for checks; None: not known


_KEYS = {
    "n": int, "selector": (str, dict), "enabled": bool, "session": str, "task": str, "metadata": bool,
    "admissible": list,
}  # fmt: skip
assert set(_KEYS) == {field.name for field in fields(Overrides)}


def overrides_of(value: Any, default: Overrides, max_n: int) -> Overrides:
    """The request's own ``agentq`` object over the gateway's settings.

    ``selector`` is a name, or ``{"name": ..., option: value}``. Raises ``RequestError`` for unknown keys (named),
    values of the wrong type, n outside 1 to ``max_n`` and selectors that do not exist.
    """
    if value is None:
        return default
    if not isinstance(value, Mapping):
        raise RequestError(f"{KEY!r} is {type(value).__name__}, expected an object.", KEY)
    unknown = sorted(str(key) for key in value if key not in _KEYS)
    if unknown:
        raise RequestError(
            f"unknown keys in {KEY!r}: {', '.join(unknown)}. Known are {', '.join(sorted(_KEYS))}.",
            f"{KEY}.{unknown[0]}",
        )
    for key, item in value.items():
        kind: Any = _KEYS[key]
        if not isinstance(item, kind) or (isinstance(item, bool) and kind is not bool):
            raise RequestError(f"{KEY}.{key} is {item!r}, of the wrong type.", f"{KEY}.{key}")
    changed = {key: item for key, item in value.items() if key != "selector"}
    if not 1 <= changed.get("n", 1) <= max_n:
        raise RequestError(f"{KEY}.n is {changed['n']}, expected 1 to {max_n} (--max-n).", f"{KEY}.n")
    if changed.get("session") == "":
        raise RequestError(f"{KEY}.session is empty, expected a name.", f"{KEY}.session")
    if "admissible" in value:
        changed["admissible"] = _actions(value["admissible"])
    if "selector" in value:
        changed["selector"] = _selector(value["selector"])
    return replace(default, **changed)


def _actions(value: list[Any]) -> tuple[str, ...]:
    if len(value) > _MOST_ACTIONS or not all(isinstance(action, str) for action in value):
        raise RequestError(
            f"{KEY}.admissible holds {len(value)} entries, expected at most {_MOST_ACTIONS} texts.",
            f"{KEY}.admissible",
        )
    return tuple(value)


def _selector(value: str | Mapping[str, Any]) -> Selector:
    options = {"name": value} if isinstance(value, str) else dict(value)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise RequestError(f"{KEY}.selector has no name, expected {{'name': ...}}.", f"{KEY}.selector")
    try:
        return load_selector(name, **{str(key): item for key, item in options.items()})
    except (ValueError, TypeError) as error:  # ConfigError and SelectorError are ValueErrors
        raise RequestError(f"{KEY}.selector: {error}", f"{KEY}.selector") from error
