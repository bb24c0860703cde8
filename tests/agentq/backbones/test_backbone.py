from __future__ import annotations

from pathlib import Path

import pytest
import torch

from agentq.backbones import BackboneConfig, LoraSettings, load_backbone
from agentq.backbones.loading import resolve_name
from agentq.errors import BackboneError

STATE = [{"role": "user", "content": "Goal: red mug"}]


def test_prompt_and_action_ids_are_the_rendered_chat(tiny_model_folder: Path) -> None:
    backbone = load_backbone(BackboneConfig(name=str(tiny_model_folder)))
    prompt, action = backbone.prompt_ids(STATE), backbone.action_ids("click[buy now]")
    text = backbone.tokenizer.decode(prompt + action)
    assert (
        text == "<|im_start|>user\nGoal: red mug<|im_end|>\n<|im_start|>assistant\nclick[buy now]<|im_end|>"
    )
    assert action[-1] == backbone.end_id


def test_fingerprint_survives_reload_and_ignores_adapters(tiny_model_folder: Path) -> None:
    plain = load_backbone(BackboneConfig(name=str(tiny_model_folder)))
    adapted = load_backbone(BackboneConfig(name=str(tiny_model_folder), lora=LoraSettings(r=2)))
    again = type(adapted)(adapted.model, adapted.tokenizer, adapted.config)  # hashes the wrapped model
    assert plain.fingerprint == adapted.fingerprint == again.fingerprint
    assert any(p.requires_grad for p in adapted.model.parameters())
    assert not any(p.requires_grad for p in plain.model.parameters())


def test_fingerprint_changes_with_one_weight(tiny_model_folder: Path) -> None:
    first = load_backbone(BackboneConfig(name=str(tiny_model_folder)))
    second = load_backbone(BackboneConfig(name=str(tiny_model_folder)))
    parameter = next(second.model.parameters())
    parameter.data[0, 0] += 1e-3
    assert first.fingerprint != second.fingerprint


def test_fingerprint_follows_tuning_in_place_and_is_computed_once(
    tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = load_backbone(BackboneConfig(name=str(tiny_model_folder)))
    before = backbone.fingerprint
    computed: list[str] = []
    real = backbone.hash_weights
    monkeypatch.setattr(backbone, "hash_weights", lambda: computed.append(real()) or computed[-1])
    assert backbone.fingerprint == before
    assert computed == []
    optimizer = torch.optim.AdamW(backbone.model.requires_grad_(True).parameters(), lr=0.1)
    next(backbone.model.parameters()).sum().backward()
    optimizer.step()
    assert backbone.fingerprint != before
    assert len(computed) == 1


def test_template_fingerprint_changes_with_template(tiny_model_folder: Path) -> None:
    first = load_backbone(BackboneConfig(name=str(tiny_model_folder)))
    second = load_backbone(BackboneConfig(name=str(tiny_model_folder)))
    second.tokenizer.chat_template += " "
    assert first.template_fingerprint != second.template_fingerprint


def test_missing_folder_and_image_content_are_named(tiny_model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match=r"does not exist"):
        load_backbone(BackboneConfig(name=str(tmp_path / "nowhere")))
    backbone = load_backbone(BackboneConfig(name=str(tiny_model_folder)))
    with pytest.raises(BackboneError, match="message 0"):
        backbone.prompt_ids([{"role": "user", "content": [{"type": "image"}]}])


def test_what_is_saved_in_another_type_is_what_is_used_from_then_on(tmp_path: Path) -> None:
    backbone = load_backbone(BackboneConfig(dtype="float32"))
    before = backbone.fingerprint
    backbone.save_pretrained(tmp_path, "bfloat16")
    again = load_backbone(BackboneConfig(str(tmp_path), dtype="float32"))
    assert backbone.fingerprint == again.fingerprint != before
    whole, half = (
        sum(file.stat().st_size for file in Path(folder).glob("*.safetensors"))
        for folder in (resolve_name("embedded"), tmp_path)
    )
    assert half < 0.6 * whole
