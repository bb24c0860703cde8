"""Small models that ship with AgentQ, each a folder with its card (README.md)."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).resolve().parent


def policy() -> Path:
    """The folder of the shopping policy, known to ``load_backbone`` as "embedded"."""
    return _HERE / "webshop_policy"


def critic() -> Path:
    """The folder of the critic's frozen backbone, known to ``load_backbone`` as "embedded-critic"."""
    return _HERE / "webshop_critic"
