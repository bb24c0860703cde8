from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agentq.backbones import Backbone, BackboneConfig, LoraSettings, load_backbone
from agentq.errors import ConfigError, FeatureError
from agentq.features import FeatureExtractor
from agentq.features.batches import length_batches
from agentq.features.extract import Pair
from agentq.features.grounding import quoted_line


def _state(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


PAIRS: list[Pair] = [
    (_state("goal " + "x" * (7 * i % 50)), "click[" + "b" * (i % 5) + "]") for i in range(23)
]


@pytest.fixture(scope="module")
def backbone(tiny_model_folder: Path) -> Backbone:
    return load_backbone(BackboneConfig(name=str(tiny_model_folder)))


def _reference(backbone: Backbone, messages: Any, action: str) -> torch.Tensor:
    """(layers, T, D) of one unpadded forward through the whole causal LM."""
    ids = [*backbone.prompt_ids(messages), *backbone.action_ids(action)]
    with torch.no_grad():
        output = backbone.model(input_ids=torch.tensor([ids]), output_hidden_states=True)
    return torch.cat(output.hidden_states)


def test_features_are_the_hidden_states_of_the_whole_model(backbone: Backbone) -> None:
    extractor = FeatureExtractor(backbone, layer=(1, -1), pooling="last+mean", batch_tokens=400)
    made = extractor.pairs(PAIRS)
    assert made.shape == (23, 2 * 2 * 32)
    for row, (messages, action) in zip(made, PAIRS, strict=True):
        assert isinstance(action, str)
        hidden = _reference(backbone, messages, action)
        size = len(backbone.action_ids(action))
        parts = [part for layer in (1, 2) for part in (hidden[layer, -1], hidden[layer, -size:].mean(0))]
        np.testing.assert_allclose(row, torch.cat(parts).numpy(), atol=1e-5)


@pytest.mark.parametrize("pooling", ["last", "mean", "mean_all", "first"])
def test_batched_equals_one_by_one(backbone: Backbone, pooling: str) -> None:
    batched = FeatureExtractor(backbone, pooling=pooling, batch_tokens=512).pairs(PAIRS)
    alone = FeatureExtractor(backbone, pooling=pooling, batch_tokens=1)
    singly = np.concatenate([alone.pairs([pair]) for pair in PAIRS])
    np.testing.assert_allclose(batched, singly, atol=1e-5)


@pytest.mark.parametrize("pooling", ["last", "last+mean", "mean_all"])
def test_actions_behind_one_prompt_are_read_together(backbone: Backbone, pooling: str) -> None:
    pages = [_state("page " + "y" * size) for size in (3, 40, 3)]
    pairs: list[Pair] = [(page, f"click[{i % 4}{'z' * i}]") for i in range(6) for page in pages]
    read: list[int] = []
    model: Any = backbone.model
    hook = model.get_input_embeddings().register_forward_hook(
        lambda module, inputs, output: read.append(inputs[0].numel())
    )
    try:
        together = FeatureExtractor(backbone, layer=(0, -1), pooling=pooling).pairs(pairs)
        shared = sum(read)
        read.clear()
        apart = FeatureExtractor(backbone, layer=(0, -1), pooling=pooling, sharing=False).pairs(pairs)
    finally:
        hook.remove()
    np.testing.assert_allclose(together, apart, atol=1e-5)
    # The mean over the whole sequence needs every sequence by itself.
    assert shared == sum(read) if pooling == "mean_all" else shared < 0.5 * sum(read)


def test_states_are_read_at_their_last_token(backbone: Backbone) -> None:
    extractor = FeatureExtractor(backbone, pooling="mean", batch_tokens=300)
    states = [messages for messages, _ in PAIRS]
    made = extractor.states(states)
    for row, messages in zip(made, states, strict=True):
        position = len(backbone.prompt_ids(messages)) - 1
        np.testing.assert_allclose(
            row, _reference(backbone, messages, "any")[-1, position].numpy(), atol=1e-5
        )


def test_sampled_ids_are_used_as_they_are_and_grounding_goes_behind_text(backbone: Backbone) -> None:
    page = _state("[a1] red mug\n[b2] blue mug")
    plain = FeatureExtractor(backbone)
    grounded = FeatureExtractor(backbone, grounding=quoted_line)
    assert grounded.prepare((page, "click[b2]")).action == backbone.action_ids("click[b2]\n[b2] blue mug")
    assert grounded.prepare((page, [5, 6])).action == [5, 6]
    assert plain.prepare((page, backbone.action_ids("go"))).id == plain.prepare((page, "go")).id
    assert grounded.key().grounding == "agentq.features.grounding:quoted_line"
    with pytest.raises(ConfigError, match="Pass grounding_name"):
        FeatureExtractor(backbone, grounding=lambda messages, action: "")


def test_key_follows_weights_adapters_and_settings(tiny_model_folder: Path) -> None:
    plain = load_backbone(BackboneConfig(name=str(tiny_model_folder)))
    extractor = FeatureExtractor(plain)
    before = extractor.key()
    assert before == FeatureExtractor(plain, layer=2).key()
    assert len({before, FeatureExtractor(plain, layer=0).key(), extractor.key("states")}) == 3
    next(plain.model.parameters()).data[0, 0] += 1.0  # fine-tuned after its fingerprint was taken
    assert extractor.key() != before
    adapted = load_backbone(BackboneConfig(name=str(tiny_model_folder), lora=LoraSettings(r=2)))
    key = FeatureExtractor(adapted).key()
    assert key.backbone == before.backbone
    assert key != before
    with torch.no_grad():
        for name, parameter in adapted.model.named_parameters():
            if "lora_B" in name:
                parameter += 0.1
    assert FeatureExtractor(adapted).key() != key
    assert not np.allclose(FeatureExtractor(adapted).pairs(PAIRS[:2]), extractor.pairs(PAIRS[:2]), atol=1e-3)


def test_any_causal_architecture_without_its_output_layer(backbone: Backbone) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    size = len(backbone.tokenizer)
    model = GPT2LMHeadModel(
        GPT2Config(vocab_size=size, n_embd=32, n_layer=2, n_head=2, n_positions=256)
    ).eval()
    calls: list[int] = []
    model.lm_head.register_forward_hook(lambda *_: calls.append(1))
    other = Backbone(model, backbone.tokenizer, BackboneConfig(name="gpt2"))
    made = FeatureExtractor(other, batch_tokens=300).pairs(PAIRS[:5])
    assert calls == []
    wanted = [_reference(other, messages, str(action))[-1, -1].numpy() for messages, action in PAIRS[:5]]
    np.testing.assert_allclose(made, np.stack(wanted), atol=1e-5)


def test_batches_cover_every_index_within_the_budget() -> None:
    lengths = [5, 90, 3, 40, 40, 41, 7]
    batches = list(length_batches(lengths, 82))
    assert sorted(index for batch in batches for index in batch) == list(range(7))
    assert all(len(b) == 1 or len(b) * max(lengths[i] for i in b) <= 82 for b in batches)
    assert list(length_batches([], 10)) == []


def test_model_is_left_as_it_was(backbone: Backbone) -> None:
    backbone.model.train()
    FeatureExtractor(backbone).pairs(PAIRS[:2])
    assert backbone.model.training
    backbone.model.eval()


def test_bad_input_is_named(backbone: Backbone) -> None:
    extractor = FeatureExtractor(backbone)
    with pytest.raises(ConfigError, match=r"layer \(7,\) does not exist"):
        FeatureExtractor(backbone, layer=7)
    with pytest.raises(FeatureError, match="reads 2048"):
        extractor.pairs([(_state("x" * 3000), "go")])
    with pytest.raises(FeatureError, match="has no tokens"):
        extractor.pairs([(_state("x"), [])])
    with pytest.raises(FeatureError, match="two calls"):
        extractor.compute([extractor.prepare((_state("x"), "go")), extractor.prepare((_state("x"), None))])
    assert extractor.pairs([]).shape == (0, 0)
