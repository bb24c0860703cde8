"""Prompts that were read ahead give the hidden states of those that were not."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from agentq.errors import BackboneError
from agentq.scoring import score_features
from agentq.scoring.prompt_reader import PromptReader
from agentq.scoring.support import decoder_of
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


@pytest.mark.parametrize("family", ["qwen3", "llama", "gpt2"])
def test_reading_ends_at_the_last_layers_keys_with_the_same_bits(family: str) -> None:
    backbone = _backbone(family)
    short, whole = PromptReader(backbone, 1 << 20), PromptReader(backbone, 1 << 20)
    whole._last = None
    assert short._last is not None
    passes = {"short": 0, "whole": 0}
    kept: dict[str, Any] = {}
    for name, reader in (("short", short), ("whole", whole)):

        def ended(*arguments: Any, name: str = name) -> None:
            passes[name] += 1

        handle = decoder_of(backbone.model).register_forward_hook(ended)
        reader.read(PROMPTS[0])
        reader.read([*PROMPTS[0], 11, 12, 13])  # behind a known start
        handle.remove()
        kept[name] = reader._store.find([*PROMPTS[0], 11, 12])
    assert passes == {"short": 0, "whole": 2}
    for one, other in zip(
        (*kept["short"].keys, *kept["short"].values),
        (*kept["whole"].keys, *kept["whole"].values),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_a_model_whose_hooks_move_weights_is_run_to_its_end() -> None:
    backbone = _backbone("qwen3")
    decoder_of(backbone.model).layers[0]._hf_hook = object()
    assert PromptReader(backbone, 1 << 20)._last is None


def test_a_replaced_layer_empties_the_store() -> None:
    backbone = _backbone("qwen3")
    reader = PromptReader(backbone, 1 << 20)
    reader.read(PROMPTS[0])
    layer = decoder_of(backbone.model).layers[0].mlp
    layer.up_proj = torch.nn.Linear(layer.up_proj.in_features, layer.up_proj.out_features, bias=False)
    before = reader.computed
    reader.read(PROMPTS[0])
    assert reader.computed == before + len(PROMPTS[0]) - 1
