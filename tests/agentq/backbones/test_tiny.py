from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agentq.backbones.tiny import TinySettings, new_backbone, train_tokenizer

TEXTS = ["Goal: red mug with size: large [ b074318552 ]", "click[b074318552]", "search[red mug]"] * 20
TOKENIZER = train_tokenizer(TEXTS, 400)


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_round_trips(text: str) -> None:
    special = {"<|pad|>", "<|user|>", "<|assistant|>", "<|end|>"}
    if not any(token in text for token in special):
        ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
        assert TOKENIZER.decode(ids) == text


def test_a_word_has_one_token_wherever_it_stands() -> None:
    inside = TOKENIZER.tokenize("Goal: red mug")
    in_query = TOKENIZER.tokenize("[ red mug ]")
    assert inside[-2:] == in_query[-3:-1]


def test_backbone_reads_the_chat() -> None:
    backbone = new_backbone(
        TOKENIZER, TinySettings(vocabulary=400, hidden=40, intermediate=64, heads=5, layers=1)
    )
    ids = backbone.prompt_ids([{"role": "user", "content": "red mug"}])
    assert backbone.tokenizer.decode(ids) == "<|user|>red mug<|end|><|assistant|>"
