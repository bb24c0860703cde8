"""A critic is the same on every device: its values, its hashes, its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agentq.backbones import BackboneConfig, LoraSettings, load_backbone
from agentq.backbones.loading import resolve_name
from agentq.critics.exports.formats import export_critic
from agentq.critics.heads import HeadSettings, QHeads
from agentq.critics.q_head import QCritic, QCriticConfig
from tests.agentq.critics.test_encoder_critic import new_critic
from tests.agentq.critics.trained_critics import LINEAR, states

pytestmark = pytest.mark.cuda


def new_lora_critic(folder: Path, device: str) -> QCritic:
    """Adapters that change something, V heads, features of two layers."""
    backbone = load_backbone(BackboneConfig(name=str(folder), device=device, lora=LoraSettings(r=2)))
    generator = torch.Generator().manual_seed(0)
    for name, parameter in backbone.model.named_parameters():
        if "lora_B" in name:
            drawn = 0.1 * torch.randn(parameter.shape, generator=generator)
            parameter.data = drawn.to(parameter.device)
    return QCritic(backbone, QHeads(64, HeadSettings(state_heads=2)), QCriticConfig(layers=(1, -1)))


def assert_same_values(one: QCritic, other: QCritic) -> None:
    for a, b in zip(one.score_heads(states()), other.score_heads(states()), strict=True):
        assert a.head_q is not None
        assert b.head_q is not None
        np.testing.assert_allclose(a.head_q, b.head_q, atol=1e-4)
        np.testing.assert_allclose(a.q, b.q, atol=1e-4)


def test_the_critic_that_ships_has_the_same_values(gpu: str) -> None:
    folder = resolve_name("embedded-q")
    on_cpu, on_gpu = (QCritic.from_pretrained(folder, device=device) for device in ("cpu", gpu))
    assert on_gpu.backbone.device.type == gpu
    assert on_gpu.fingerprint == on_cpu.fingerprint
    assert_same_values(on_gpu, on_cpu)
    on_gpu.cache_prompts(1 << 24)
    on_gpu.prefill(states()[0][0])
    assert_same_values(on_gpu, on_cpu)


@pytest.mark.parametrize("made_on", ["cpu", "gpu"])
def test_adapters_travel_between_devices(
    tiny_model_folder: Path, tmp_path: Path, gpu: str, made_on: str
) -> None:
    there, here = ("cpu", gpu) if made_on == "cpu" else (gpu, "cpu")
    made = new_lora_critic(tiny_model_folder, there)
    folder = made.save_pretrained(tmp_path / "critic")
    again = QCritic.from_pretrained(folder, device=here)
    assert again.backbone.device.type == here
    assert {p.device.type for p in again.backbone.model.parameters()} == {here}
    assert again.fingerprint == made.fingerprint
    assert_same_values(again, made)
    messages = [state for state, _ in states()]
    np.testing.assert_allclose(again.state_values(messages), made.state_values(messages), atol=1e-4)


def test_heads_on_an_encoder(encoder: Any, gpu: str) -> None:
    on_cpu = new_critic(encoder)
    short = [([{"role": "user", "content": "red mug"}], some) for _, some in states(2, 3)]
    expected = on_cpu.score_heads(short)
    on_gpu = QCritic(encoder, on_cpu.heads, on_cpu.config)
    encoder.model.to(gpu)
    on_gpu.heads.to(gpu)
    for found, wanted in zip(on_gpu.score_heads(short), expected, strict=True):
        assert found.head_q is not None
        assert wanted.head_q is not None
        np.testing.assert_allclose(found.head_q, wanted.head_q, atol=1e-4)


def test_auto_is_the_gpu(tiny_model_folder: Path, gpu: str) -> None:
    assert load_backbone(BackboneConfig(name=str(tiny_model_folder))).device.type == gpu
    assert QCritic.from_pretrained(resolve_name("embedded-q")).backbone.device.type == gpu


@pytest.mark.parametrize(
    ("name", "settings"),
    [("hidden-states", HeadSettings()), ("sequence-classification", LINEAR)],
)
def test_it_is_exported_from_the_gpu(
    tiny_model_folder: Path, tmp_path: Path, gpu: str, name: str, settings: HeadSettings
) -> None:
    backbone = load_backbone(BackboneConfig(name=str(tiny_model_folder), device=gpu, lora=LoraSettings(r=2)))
    exported = export_critic(QCritic(backbone, QHeads(32, settings)), name, tmp_path / "exported")
    assert exported.error < 1e-4
    assert backbone.device.type == gpu
