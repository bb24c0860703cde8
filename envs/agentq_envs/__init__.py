"""Environments of AgentQ. Importing this package registers them with Gymnasium.

``import agentq_envs`` and then ``gymnasium.make("agentq/WebShop-v0")``, or in one step
``gymnasium.make("agentq_envs:agentq/WebShop-v0")``: Gymnasium 1.0 and later load no entry points.
"""

from __future__ import annotations

from importlib.metadata import entry_points

import gymnasium

WEBSHOP_ID = "agentq/WebShop-v0"
HOTPOTQA_ID = "agentq/HotPotQA-v0"
ENTRY_POINTS = "gymnasium.envs"  # group in which packages announce a function that registers environments


def register_environments() -> None:
    """Make our environments known to ``gymnasium.make``; calling it again does nothing."""
    # They truncate by themselves, so they need no TimeLimit wrapper.
    if WEBSHOP_ID not in gymnasium.registry:
        gymnasium.register(id=WEBSHOP_ID, entry_point="agentq_envs.webshop.env:WebShopEnv")
    if HOTPOTQA_ID not in gymnasium.registry:
        gymnasium.register(id=HOTPOTQA_ID, entry_point="agentq_envs.hotpotqa.env:HotPotQAEnv")


def register_installed() -> list[str]:
    """Run the registering functions of all installed packages; returns the names of the entry points.

    This is how environments of other packages become known without a change here.
    """
    found = sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name)
    for point in found:
        point.load()()
    return [point.name for point in found]


register_environments()
