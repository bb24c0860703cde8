"""A policy on a GPU proposes what it proposes on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from agentq.backbones import Backbone, BackboneConfig, load_backbone
from agentq.policies.huggingface import HuggingFacePolicy
from tests.agentq.policies.test_huggingface import ACTIONS, ADMISSIBLE, BATCH, SEARCH, SEEDS, _assert_same

pytestmark = pytest.mark.cuda


def sharpened(folder: Path, device: str) -> Backbone:
    """The tiny random model with less flat choices."""
    backbone = load_backbone(BackboneConfig(name=str(folder), device=device))
    for parameter in backbone.model.parameters():
        parameter.data.mul_(3.0)
    assert backbone.device.type == device
    return backbone


@pytest.fixture(scope="module")
def backbone(tiny_model_folder: Path, gpu: str) -> Backbone:
    return sharpened(tiny_model_folder, gpu)


@pytest.fixture(scope="module")
def reference(tiny_model_folder: Path) -> Backbone:
    return sharpened(tiny_model_folder, "cpu")


@pytest.mark.parametrize("top_p", [1.0, 0.8])
def test_samples_are_those_of_the_cpu(backbone: Backbone, reference: Backbone, top_p: float) -> None:
    # The uniform numbers are the same; a rounding error moves one of some hundred draws with a chance of 1e-4.
    settings: dict[str, Any] = {"temperature": 1.5, "top_p": top_p, "max_new_tokens": 12}
    found, expected, slow = (
        policy.propose(BATCH, 8, SEEDS, ADMISSIBLE)
        for policy in (
            HuggingFacePolicy(backbone, **settings),
            HuggingFacePolicy(reference, **settings),
            HuggingFacePolicy(backbone, **settings, decoding="recompute"),
        )
    )
    _assert_same(found, expected)
    _assert_same(found, slow)


def test_only_admissible_actions_are_sampled(backbone: Backbone) -> None:
    policy = HuggingFacePolicy(backbone, temperature=3.0, max_new_tokens=12)
    found = policy.propose(BATCH, 32, SEEDS, [ACTIONS] * 4 + [SEARCH])
    for candidates in found[:4]:
        assert {c.action for c in candidates} <= set(ACTIONS)
        assert sum(c.count for c in candidates) == 32
    valid = {str(c.action) for c in found[4] if c.valid}
    assert all(action in SEARCH or action.startswith("search[") for action in valid)
    assert valid


def test_log_probabilities_are_those_of_a_plain_forward(backbone: Backbone) -> None:
    policy = HuggingFacePolicy(backbone, max_new_tokens=8, restrict=False)
    for messages, candidates in zip(BATCH, policy.propose(BATCH, 4, SEEDS), strict=True):
        prompt = backbone.prompt_ids(messages)
        for candidate in candidates:
            ids = torch.tensor([[*prompt, *candidate.token_ids]], device=backbone.device)
            with torch.no_grad():
                logits = backbone.model(input_ids=ids).logits[0, len(prompt) - 1 : -1]
            plain = logits.double().log_softmax(dim=-1).gather(1, ids[0, len(prompt) :, None])[:, 0]
            assert candidate.token_logprobs == pytest.approx(plain.tolist(), abs=1e-4)


def test_greedy_decoding_and_kept_prompts_change_nothing(backbone: Backbone, reference: Backbone) -> None:
    first = [{"role": "user", "content": "Goal: a red mug. " * 4}]
    second = [*first, {"role": "assistant", "content": "click[back]"}, {"role": "user", "content": "page 2"}]
    on_gpu, on_cpu = (
        HuggingFacePolicy(model, temperature=0, max_new_tokens=8) for model in (backbone, reference)
    )
    for states in ([first], [second, first], BATCH):
        seeds, free = list(range(len(states))), [None] * len(states)
        _assert_same(on_gpu.propose(states, 1, seeds, free), on_cpu.propose(states, 1, seeds, free))
    assert on_gpu.statistics.reused_tokens == on_cpu.statistics.reused_tokens > 0


def test_bfloat16_proposes_too(tiny_model_folder: Path, gpu: str) -> None:
    half = load_backbone(BackboneConfig(name=str(tiny_model_folder), dtype="bfloat16", device=gpu))
    (candidates,) = HuggingFacePolicy(half).propose(BATCH[:1], 16, [0], [ACTIONS])
    assert {c.action for c in candidates} <= set(ACTIONS)
    assert all(torch.isfinite(torch.tensor(c.token_logprobs)).all() for c in candidates)
