"""Environments of AgentQ. Importing this package registers them with Gymnasium.

``import agentq_envs`` and then ``gymnasium.make("agentq/WebShop-v0")``, or in one step
``gymnasium.make("agentq_envs:agentq/WebShop-v0")``: Gymnasium 1.0 and later load no entry points.

Every folder here is an environment and says of itself what it is called: ``GYMNASIUM_ID`` and
``GYMNASIUM_CLASS`` in its ``__init__``. There is no list to extend.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import entry_points

import gymnasium

ENTRY_POINTS = "gymnasium.envs"  # group in which packages announce a function that registers environments


def own_environments() -> Iterator[tuple[str, str]]:
    """Gymnasium's id of each folder's environment, and where its class is."""
    for module in pkgutil.iter_modules(__path__):
        if module.ispkg:
            package = import_module(f"{__name__}.{module.name}")
            yield package.GYMNASIUM_ID, f"{package.__name__}.{package.GYMNASIUM_CLASS}"


def register_environments() -> None:
    """Make our environments known to ``gymnasium.make``; calling it again does nothing."""
    # They truncate by themselves, so they need no TimeLimit wrapper.
    for name, place in own_environments():
        if name not in gymnasium.registry:
            gymnasium.register(id=name, entry_point=place)


def register_installed() -> list[str]:
    """Run the registering functions of all installed packages; returns the names of the entry points.

    This is how environments of other packages become known without a change here.
    """
    found = sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name)
    for point in found:
        point.load()()
    return [point.name for point in found]


register_environments()
