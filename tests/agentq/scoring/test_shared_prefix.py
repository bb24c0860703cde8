from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from agentq.backbones import Backbone, BackboneConfig, LoraSettings, load_backbone
from agentq.backbones.loading import attach_lora
from agentq.errors import BackboneError, CandidateError
from agentq.scoring import one_by_one, score_features
from agentq.scoring.packing import pack

PROMPTS = [[5, 6, 7, 8, 9, 10, 11], [12, 13], [14] * 30]
CANDIDATES = [
    [[20, 21, 22, 1], [20, 21, 23, 24, 1], [25, 1], [20, 1]],
    [[20, 21, 1]],
    [[30, 31, 1], [30, 31, 1], [31, 30, 1]],
]


def mean(hidden: Tensor, mask: Tensor) -> Tensor:
    weights = mask.to(hidden.dtype)[..., None]
    return (hidden * weights).sum(1) / weights.sum(1)


def last_and_prompt(hidden: Tensor, mask: Tensor) -> Tensor:
    ends = mask.int().cumsum(1).argmax(1)
    return torch.cat([hidden[torch.arange(len(ends)), ends], hidden[:, 0]], dim=-1)


def _backbone(family: str, **changes: Any) -> Backbone:
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

    torch.manual_seed(0)
    shape: dict[str, Any] = {
        "vocab_size": 64,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        **changes,
    }
    if family == "gpt2":
        config: Any = GPT2Config(vocab_size=64, n_embd=32, n_layer=3, n_head=4, n_positions=64, **changes)
        model: Any = GPT2LMHeadModel(config)
    elif family == "llama":
        model = LlamaForCausalLM(LlamaConfig(**shape))
    elif family == "mistral":
        model = MistralForCausalLM(MistralConfig(**shape))
    else:
        model = Qwen3ForCausalLM(Qwen3Config(head_dim=8, **shape))
    return Backbone(model.eval().requires_grad_(False), None, BackboneConfig(name=family))


@pytest.mark.parametrize("family", ["qwen3", "llama", "gpt2"])
@pytest.mark.parametrize("budget", [1, 8192])
def test_shared_prefix_equals_one_by_one(family: str, budget: int) -> None:
    backbone = _backbone(family)
    for layers, pooling in (((-1,), last_and_prompt), ((0, 2, 3), mean)):
        fast = score_features(backbone, PROMPTS, CANDIDATES, layers, pooling, max_batch_tokens=budget)
        slow = one_by_one.score_features(backbone, PROMPTS, CANDIDATES, layers, pooling)
        assert [f.shape for f in fast] == [s.shape for s in slow]
        for f, s in zip(fast, slow, strict=True):
            torch.testing.assert_close(f, s, atol=1e-5, rtol=1e-5)


def test_eager_attention_gives_the_same() -> None:
    default: Any = _backbone("qwen3").model
    assert default.config._attn_implementation == "sdpa"
    backbone = _backbone("qwen3", attn_implementation="eager")
    model: Any = backbone.model
    assert model.config._attn_implementation == "eager"
    fast = score_features(backbone, PROMPTS, CANDIDATES, [-1], mean)
    slow = one_by_one.score_features(backbone, PROMPTS, CANDIDATES, [-1], mean)
    torch.testing.assert_close(torch.cat(fast), torch.cat(slow), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["qwen3", "gpt2"])
def test_gradients_equal_those_of_one_by_one(family: str) -> None:
    backbone = _backbone(family)
    # In float64, but for the norms that Qwen3 computes in float32: the order of sums moves its fifth digit.
    backbone.model = attach_lora(backbone.model, LoraSettings(r=2)).double()
    with torch.no_grad():
        for name, parameter in backbone.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)

    def gradients(function: Any) -> list[Tensor]:
        backbone.model.zero_grad()
        torch.cat(function(backbone, PROMPTS, CANDIDATES, [1, -1], mean)).square().sum().backward()
        return [p.grad.clone() for p in backbone.model.parameters() if p.grad is not None]

    fast, slow = gradients(score_features), gradients(one_by_one.score_features)
    assert len(fast) > 4
    for f, s in zip(fast, slow, strict=True):
        torch.testing.assert_close(f, s, atol=5e-5, rtol=5e-5)


def test_without_gradients_two_passes_equal_the_one_pass_of_training() -> None:
    backbone = _backbone("llama")
    with torch.no_grad():
        two = score_features(backbone, PROMPTS, CANDIDATES, [-1], mean)
    backbone.model.requires_grad_(True)
    one = score_features(backbone, PROMPTS, CANDIDATES, [-1], mean)
    assert one[0].requires_grad
    assert not two[0].requires_grad
    torch.testing.assert_close(torch.cat(one).detach(), torch.cat(two), atol=1e-5, rtol=1e-5)


def test_a_short_sliding_window_is_refused_by_default_and_computed_by_option() -> None:
    backbone = _backbone("mistral", sliding_window=8)
    with pytest.raises(BackboneError, match=r"sliding window of 8 tokens.*method='one_by_one'"):
        score_features(backbone, PROMPTS, CANDIDATES, [-1], mean)
    slow = score_features(backbone, PROMPTS, CANDIDATES, [-1], mean, method="one_by_one")
    assert [len(s) for s in slow] == [4, 1, 3]
    wide = _backbone("mistral", sliding_window=64)
    torch.testing.assert_close(
        torch.cat(score_features(wide, PROMPTS, CANDIDATES, [-1], mean)),
        torch.cat(score_features(wide, PROMPTS, CANDIDATES, [-1], mean, method="one_by_one")),
        atol=1e-5,
        rtol=1e-5,
    )


def test_models_that_take_no_mask_or_positions_are_refused() -> None:
    from transformers import BloomConfig, BloomForCausalLM

    bloom = BloomForCausalLM(BloomConfig(vocab_size=64, hidden_size=32, n_layer=1, n_head=4))
    backbone = Backbone(bloom, None, BackboneConfig(name="bloom"))
    with pytest.raises(BackboneError, match=r"BloomModel takes no position_ids"):
        score_features(backbone, PROMPTS[:1], CANDIDATES[:1], [-1], mean)
    flex = _backbone("qwen3")
    model: Any = flex.model
    model.config._attn_implementation = "flash_attention_2"
    with pytest.raises(BackboneError, match="attn_implementation='sdpa'"):
        score_features(flex, PROMPTS, CANDIDATES, [-1], mean)


@pytest.mark.parametrize(
    ("candidates", "error", "message"),
    [
        ([[]], CandidateError, "state 0 has no candidates"),
        ([[[1], []]], CandidateError, "candidate 1 has no tokens"),
        ([[[1] * 60]], BackboneError, "reads 1 to 64"),
    ],
)
@pytest.mark.parametrize("function", [score_features, one_by_one.score_features])
def test_impossible_candidates_are_refused(
    function: Any, candidates: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        function(_backbone("qwen3"), PROMPTS[:1], candidates, [-1], mean)


def test_unknown_layers_are_refused_and_nothing_needs_nothing() -> None:
    backbone = _backbone("qwen3")
    with pytest.raises(BackboneError, match=r"layers=\(4,\) do not exist"):
        score_features(backbone, PROMPTS, CANDIDATES, [4], mean)
    assert score_features(backbone, [], [], [-1], mean) == []


def test_pooling_by_name(tiny_model_folder: Path) -> None:
    pooling = pytest.importorskip("agentq.features.pooling", reason="poolings are not there yet")
    backbone = load_backbone(BackboneConfig(name=str(tiny_model_folder)))
    by_name = score_features(backbone, PROMPTS, CANDIDATES, [-1], "mean")
    by_function = score_features(
        backbone, PROMPTS, CANDIDATES, [-1], lambda hidden, mask: pooling.pool(hidden, mask, "mean")
    )
    assert torch.equal(torch.cat(by_name), torch.cat(by_function))


def test_candidates_are_merged_where_they_begin_alike() -> None:
    packed = pack(CANDIDATES[0])
    assert packed.ids == [20, 21, 22, 1, 23, 24, 1, 25, 1, 1]
    assert packed.depths == [0, 1, 2, 3, 2, 3, 4, 0, 1, 1]
    assert [[packed.ids[node] for node in path] for path in packed.paths] == CANDIDATES[0]
    assert packed.visible[6].nonzero()[:, 0].tolist() == [0, 1, 4, 5, 6]
