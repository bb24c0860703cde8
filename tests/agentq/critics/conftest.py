"""An encoder made in place."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentq.backbones import Backbone, BackboneConfig


@pytest.fixture
def encoder(tiny_model_folder: Path) -> Backbone:
    """A random 2-layer BERT on the CPU, with the tokenizer of the tiny causal model."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_folder)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64,
    )  # fmt: skip
    return Backbone(
        BertModel(config).eval(), tokenizer, BackboneConfig(name="bert", kind="encoder", device="cpu")
    )
