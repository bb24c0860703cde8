"""States as chat messages, by name or as a function of the environment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, TypeAlias, cast

from agentq.errors import ConfigError
from agentq.types import Message

Prompt: TypeAlias = Callable[[Any], Sequence[Message]]
_DEFAULT = "compact"
_ENDING = "_prompt"


def resolve_prompt(prompt: str | Prompt | None, package: str) -> Prompt:
    """The function that renders an environment's state; None: the compact one.

    A name, as a suite file gives it, is that of a function ``<name>_prompt`` in ``<package>.prompt``. Raises
    ConfigError when there is none.
    """
    if callable(prompt):
        return prompt
    module = import_module(f"{package}.prompt")
    found = getattr(module, f"{prompt or _DEFAULT}{_ENDING}", None)
    if not callable(found):
        known = ", ".join(
            sorted(name.removesuffix(_ENDING) for name in vars(module) if name.endswith(_ENDING))
        )
        raise ConfigError(f"prompt {prompt!r} is unknown, expected one of {known}, or a function.")
    return cast(Prompt, found)
