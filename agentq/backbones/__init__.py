"""Language models and encoders: loading, fingerprints, tokenisation of states and actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentq.backbones.config import BackboneConfig, LoraSettings

if TYPE_CHECKING:
    from agentq.backbones.backbone import Backbone
    from agentq.backbones.loading import load_backbone

__all__ = ["Backbone", "BackboneConfig", "LoraSettings", "load_backbone"]


def __getattr__(name: str) -> Any:  # torch and transformers load only when a model is needed
    if name == "Backbone":
        from agentq.backbones.backbone import Backbone

        return Backbone
    if name == "load_backbone":
        from agentq.backbones.loading import load_backbone

        return load_backbone
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
