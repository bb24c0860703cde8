"""More layers for a trained language model, without changing what it computes until they are trained.

Copies of its blocks are put in between, with their last projections at zero, so that a new block at first adds
nothing to the residual stream (block expansion, LLaMA Pro, Wu et al. 2024, arXiv 2401.02415, section 3.2).
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from agentq.backbones.backbone import Backbone
from agentq.errors import ConfigError

#: Last projections of attention and of the feed-forward part: what they give is added to the residual stream.
_LAST = ("o_proj", "down_proj")


def expand_blocks(backbone: Backbone, layers: int) -> None:
    """Give a causal backbone ``layers`` layers in place, the new ones spread evenly behind the old ones.

    Its outputs stay equal to the bit. Raises ``ConfigError`` for fewer layers than it has, for adapters, and for
    an architecture whose blocks do not end in ``o_proj`` and ``down_proj``.
    """
    model: Any = backbone.model
    old = backbone.num_layers
    if layers < old:
        raise ConfigError(f"layers {layers}: {backbone.config.name} has {old} already. Give {old} or more.")
    if backbone.config.lora is not None or backbone.config.quantization != "none":
        raise ConfigError(
            "blocks are added to whole weights: load the backbone without lora and quantization."
        )
    blocks_before = getattr(model.get_decoder(), "layers", None) if hasattr(model, "get_decoder") else None
    if blocks_before is None:
        raise ConfigError(
            f"{backbone.config.name}: {type(model).__name__} is no decoder with `layers`. Use a model of the Llama or "
            "Qwen kind, or leave out more layers."
        )
    blocks: list[nn.Module] = []
    sources: list[int] = []  # of each block: the old one that it is or copies
    for number, block in enumerate(blocks_before):
        wanted = layers * (number + 1) // old  # layers so far when this block's share is in
        added = wanted - len(blocks)
        blocks += [block, *(_silent(block, backbone.config.name) for _ in range(added - 1))]
        sources += [number] * added
    for number, block in enumerate(blocks):
        attention: Any = block.self_attn
        attention.layer_idx = number  # the key-value cache is kept by it
    model.get_decoder().layers = nn.ModuleList(blocks)
    config = model.config.get_text_config()
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[source] for source in sources]


def _silent(block: nn.Module, name: str) -> nn.Module:
    """A copy of a block that adds nothing yet; its other weights are the block's, so that it learns from there."""
    new = copy.deepcopy(block)
    found = [module for path, module in new.named_modules() if path.rsplit(".", 1)[-1] in _LAST]
    if len(found) != len(_LAST):
        raise ConfigError(
            f"{name}: a block of {type(block).__name__} has {len(found)} of the layers {', '.join(_LAST)}, expected "
            "one of each. Use a model of the Llama or Qwen kind, or leave out more layers."
        )
    with torch.no_grad():
        for module in found:
            for parameter in module.parameters():
                parameter.zero_()
    return new
