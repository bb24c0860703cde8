from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from agentq.backbones import Backbone, BackboneConfig, LoraSettings, load_backbone
from agentq.backbones.loading import attach_lora
from agentq.errors import BackboneError
from agentq.policies import engines
from agentq.policies.constrained import FREE_TEXT
from agentq.policies.huggingface import HuggingFacePolicy
from agentq.types import Messages

BATCH: list[Messages] = [[{"role": "user", "content": t}] for t in ("one", "two " * 12, "three, and four")]
ADMISSIBLE = [("click[a]", "click[b07]", "click[b08]", "back"), (f"search[{FREE_TEXT}]", "back"), None]


def _backbone(folder: Path, family: str, **changes: Any) -> Backbone:
    from transformers import (
        GPT2Config,
        GPT2LMHeadModel,
        LlamaConfig,
        LlamaForCausalLM,
        MistralConfig,
        MistralForCausalLM,
        Qwen3Config,
        Qwen3ForCausalLM,
    )

    tokenizer = load_backbone(BackboneConfig(name=str(folder))).tokenizer
    torch.manual_seed(1)
    shape: dict[str, Any] = {
        "vocab_size": len(tokenizer) + 5,  # padded embeddings, as many models have: never to be sampled
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "initializer_range": 0.3,
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": None,
        **changes,
    }
    if family == "gpt2":
        size = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512, "initializer_range": 0.3}
        config: Any = GPT2Config(vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id, **size)
        model: Any = GPT2LMHeadModel(config)
    elif family == "llama":
        model = LlamaForCausalLM(LlamaConfig(**shape))
    elif family == "mistral":
        model = MistralForCausalLM(MistralConfig(**shape))
    else:
        model = Qwen3ForCausalLM(Qwen3Config(head_dim=8, **shape))
    return Backbone(model.eval().requires_grad_(False), tokenizer, BackboneConfig(name=family))


def _samples(backbone: Backbone, **options: Any) -> list[Any]:
    policy = HuggingFacePolicy(backbone, max_new_tokens=6, **options)
    again = [policy.propose(BATCH, 6, [1, 2, 3], ADMISSIBLE) for _ in range(2)]  # second: cached prompts
    return [
        (c.text, c.count, c.token_ids, c.token_logprobs)
        for proposals in again
        for candidates in proposals
        for c in candidates
    ]


def _assert_same(left: list[Any], right: list[Any]) -> None:
    assert [sample[:3] for sample in left] == [sample[:3] for sample in right]
    for a, b in zip(left, right, strict=True):
        assert a[3] == pytest.approx(b[3], abs=1e-4)


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3-eager", "qwen3-lora"])
def test_shared_decoding_equals_recomputing(tiny_model_folder: Path, family: str) -> None:
    changes = {"attn_implementation": "eager"} if family == "qwen3-eager" else {}
    backbone = _backbone(tiny_model_folder, family, **changes)
    if family == "qwen3-lora":
        backbone.model = attach_lora(backbone.model, LoraSettings(r=2))
        with torch.no_grad():
            for name, parameter in backbone.model.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(std=0.2)
    shared = _samples(backbone)
    _assert_same(shared, _samples(backbone, decoding="recompute"))
    assert len({ids for _, _, ids, _ in shared}) > 6


def test_output_layers_without_chosen_positions_give_the_same(
    tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = _backbone(tiny_model_folder, "qwen3")
    chosen = _samples(backbone)
    monkeypatch.setattr(engines, "_KEEPS_BY_MASK", False)
    _assert_same(chosen, _samples(backbone))


def test_a_short_sliding_window_is_refused_by_default_and_sampled_by_option(tiny_model_folder: Path) -> None:
    backbone = _backbone(tiny_model_folder, "mistral", sliding_window=16)
    with pytest.raises(BackboneError, match=r"sliding window of 16.*decoding='recompute'"):
        _samples(backbone)
    assert _samples(backbone, decoding="recompute")
    wide = _backbone(tiny_model_folder, "mistral", sliding_window=256)
    _assert_same(_samples(wide), _samples(wide, decoding="recompute"))


def test_ids_beyond_the_tokenizer_are_never_sampled(tiny_model_folder: Path) -> None:
    backbone = _backbone(tiny_model_folder, "llama")
    model: Any = backbone.model
    model.get_output_embeddings().weight.zero_()  # every token equally likely
    policy = HuggingFacePolicy(backbone, max_new_tokens=1)
    (candidates,) = policy.propose(BATCH[:1], 2000, [0])
    assert max(max(c.token_ids) for c in candidates) < len(backbone.tokenizer)
