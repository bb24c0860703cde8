"""Prompts that were read ahead give the hidden states of those that were not."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from agentq.errors import BackboneError
from agentq.scoring import score_features
from agentq.scoring.prompt_reader import PromptReader
from tests.agentq.scoring.test_shared_prefix import CANDIDATES, PROMPTS, _backbone, last_and_prompt, mean

POOLINGS = ("last", mean, last_and_prompt)


@pytest.mark.parametrize("family", ["qwen3", "llama", "gpt2"])
@pytest.mark.parametrize("budget", [1, 8192])
@pytest.mark.parametrize("pooling", POOLINGS, ids=["last", "mean", "last_and_prompt"])
def test_the_features_are_those_of_the_plain_path(family: str, budget: int, pooling: Any) -> None:
    backbone = _backbone(family)
    plain = score_features(backbone, PROMPTS, CANDIDATES, (0, 2, -1), pooling)
    reader = PromptReader(backbone, 1 << 20, budget)
    reader.read(PROMPTS[0])
    reader.read(PROMPTS[2][:9])  # a start of a prompt that has gone on since
    for _ in range(2):  # the second time everything is known
        for one, other in zip(reader.features(PROMPTS, CANDIDATES, (0, 2, -1), pooling), plain, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_a_prompt_that_goes_on_costs_what_is_new() -> None:
    reader = PromptReader(_backbone("qwen3"), 1 << 20)
    reader.read([14] * 20)
    assert reader.computed == 19
    reader.read([14] * 20)
    assert reader.computed == 19
    reader.read([*[14] * 19, 15, 16, 17])
    assert reader.computed == 19 + 2
    reader.features([[*[14] * 19, 15, 16, 17]], [[[20, 1]]], (-1,), "last")
    assert reader.computed == 19 + 2 + 3
    assert reader.reused == 21


def test_other_weights_empty_the_store() -> None:
    backbone = _backbone("qwen3")
    reader = PromptReader(backbone, 1 << 20)
    reader.features(PROMPTS, CANDIDATES, (-1,), "last")
    with torch.no_grad():
        for parameter in backbone.model.parameters():
            parameter.add_(0.01)
    fresh = score_features(backbone, PROMPTS, CANDIDATES, (-1,), "last")
    for one, other in zip(reader.features(PROMPTS, CANDIDATES, (-1,), "last"), fresh, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_a_store_without_room_changes_nothing_and_long_prompts_are_refused() -> None:
    backbone = _backbone("qwen3")
    plain = score_features(backbone, PROMPTS, CANDIDATES, (-1,), "last")
    reader = PromptReader(backbone, 1)
    reader.read(PROMPTS[0])
    torch.testing.assert_close(
        reader.features(PROMPTS, CANDIDATES, (-1,), "last"), plain, atol=1e-5, rtol=1e-5
    )
    with pytest.raises(BackboneError, match="65"):
        reader.read([1] * 65)


def test_prompts_that_wait_for_their_candidates_are_not_pushed_out() -> None:
    """A store with room for three prompts and eight of them in flight: none is read twice."""
    backbone = _backbone("qwen3")
    prompts = [[10 + k] * 30 for k in range(8)]
    one = PromptReader(backbone, 1 << 20)
    one.read(prompts[0])
    size = one._store.nbytes
    reader = PromptReader(backbone, 3 * size + 1)
    for prompt in prompts:
        reader.read(prompt)
    ahead = reader.computed
    assert 0 < ahead < 3 * 29
    plain = score_features(backbone, prompts, [[[20, 1]]] * 8, (-1,), "last")
    found = [reader.features([prompt], [[[20, 1]]], (-1,), "last")[0] for prompt in prompts]
    for a, b in zip(found, plain, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
    assert reader.computed == 8 * (29 + 3)  # every prompt once, its last token and its candidate
    reader.read([50] * 30)  # what waited has been used: there is room again
    assert reader.computed == 8 * 32 + 29
