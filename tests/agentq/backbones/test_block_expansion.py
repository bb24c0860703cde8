"""More layers: equal outputs before training, another model after it, and files that load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from agentq.backbones import BackboneConfig, LoraSettings, load_backbone
from agentq.backbones.block_expansion import expand_blocks
from agentq.errors import ConfigError

IDS = torch.tensor([[65, 66, 67, 32, 65, 66]])


def test_new_blocks_change_nothing_until_they_are_trained(tiny_model_folder: Path, tmp_path: Path) -> None:
    backbone = load_backbone(BackboneConfig(str(tiny_model_folder), device="cpu"))
    model: Any = backbone.model
    before = model(IDS).logits
    expand_blocks(backbone, 5)
    assert backbone.num_layers == len(model.model.layers) == 5
    assert torch.equal(model(IDS).logits, before)

    generated = model.generate(IDS, max_new_tokens=3, do_sample=False, use_cache=True)
    assert torch.equal(
        generated, model.generate(IDS, max_new_tokens=3, do_sample=False, use_cache=False)
    )  # the cache knows the layers apart

    backbone.save_pretrained(tmp_path / "deep")
    again = load_backbone(BackboneConfig(str(tmp_path / "deep"), device="cpu"))
    assert again.num_layers == 5
    assert again.fingerprint == backbone.fingerprint

    model.requires_grad_(True)
    model(IDS).logits.logsumexp(-1).sum().backward()
    new = model.model.layers[1].mlp.down_proj.weight  # the old ones are 0 and 2
    assert new.abs().sum() == 0
    assert new.grad.abs().sum() > 0
    with torch.no_grad():
        new -= new.grad
    assert not torch.equal(model(IDS).logits, before)


def test_what_cannot_be_expanded_says_why(tiny_model_folder: Path) -> None:
    backbone = load_backbone(BackboneConfig(str(tiny_model_folder), device="cpu"))
    with pytest.raises(ConfigError, match=r"layers 1: .* has 2 already"):
        expand_blocks(backbone, 1)
    encoder = load_backbone(BackboneConfig(str(tiny_model_folder), kind="encoder", device="cpu"))
    encoder.model = torch.nn.Module()  # without layers to find
    encoder.model.config = backbone.model.config  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="no decoder with `layers`"):
        expand_blocks(encoder, 4)
    adapted = load_backbone(BackboneConfig(str(tiny_model_folder), device="cpu", lora=LoraSettings()))
    with pytest.raises(ConfigError, match="without lora"):
        expand_blocks(adapted, 4)
