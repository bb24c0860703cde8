"""Find the function that a critic's ``grounding`` names: what an action refers to, as text behind it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TypeAlias, cast

from agentq.errors import ConfigError
from agentq.types import Messages

#: (messages, action) -> text put behind the action; "" adds nothing.
Grounding: TypeAlias = Callable[[Messages, str], str]
GROUP = "agentq.groundings"
_SEPARATOR = "\n"


def resolve_grounding(name: str, *, trusted: bool = True) -> Grounding | None:
    """The function named by an entry point of the group ``agentq.groundings`` or as "module:function".

    "" means none. A name that came with a downloaded critic is not ``trusted``: then only entry points and
    AgentQ's own modules are imported. Raises ``ConfigError`` when there is no such function.
    """
    if not name:
        return None
    for entry in entry_points(group=GROUP):
        if entry.name == name:
            return entry.load()
    module, colon, attribute = name.partition(":")
    if not colon:
        known = ", ".join(sorted(entry.name for entry in entry_points(group=GROUP))) or "none installed"
        raise ConfigError(
            f"grounding {name!r} is unknown. Expected module:function or an entry point ({known})."
        )
    if not trusted and module.partition(".")[0] not in ("agentq", "agentq_data", "agentq_envs"):
        raise ConfigError(
            f"grounding {name!r} would import code from outside AgentQ because a downloaded file says so. "
            "Look at that function, then pass trust_grounding=True."
        )
    try:
        function = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"grounding {name!r} cannot be imported: {error}. Expected module:function."
        ) from error
    if not callable(function):
        raise ConfigError(f"grounding {name!r} is {type(function).__name__}, expected a function.")
    return cast(Grounding, function)


def grounded_text(
    messages: Messages, action: str, grounding: Grounding | None, reply: str | None = None
) -> str:
    """The text a critic reads for an action: the action, and what it refers to on the next line.

    ``reply``, the whole text that the action was parsed from, is read in its place where it is given.
    """
    read = action if reply is None else reply
    if grounding is None:
        return read
    return read + _SEPARATOR + text if (text := grounding(messages, action)) else read
