"""Scoring on a GPU gives what the slow reference gives on the CPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from agentq.backbones import LoraSettings
from agentq.backbones.loading import attach_lora
from agentq.scoring import one_by_one, score_features
from agentq.scoring.prompt_reader import PromptReader
from tests.agentq.scoring.test_shared_prefix import CANDIDATES, PROMPTS, _backbone, last_and_prompt, mean

pytestmark = pytest.mark.cuda

LAYERS = (0, -1)


def on_gpu(family: str, gpu: str, **changes: Any) -> tuple[Any, Tensor]:
    """A model on the GPU, and its features by the slow reference while it was on the CPU, in float32."""
    backbone = _backbone(family, **changes)
    slow = one_by_one.score_features(backbone, PROMPTS, CANDIDATES, LAYERS, last_and_prompt)
    backbone.model.to(gpu)  # type: ignore[call-overload]
    return backbone, torch.cat(slow)


@pytest.mark.parametrize(
    ("family", "changes"),
    [("qwen3", {}), ("qwen3", {"attn_implementation": "eager"}), ("llama", {}), ("gpt2", {})],
)
@pytest.mark.parametrize("budget", [1, 8192])
def test_features_equal_the_slow_reference(
    gpu: str, family: str, changes: dict[str, Any], budget: int
) -> None:
    backbone, slow = on_gpu(family, gpu, **changes)
    fast = score_features(backbone, PROMPTS, CANDIDATES, LAYERS, last_and_prompt, max_batch_tokens=budget)
    assert {f.device.type for f in fast} == {gpu}
    torch.testing.assert_close(torch.cat(fast).cpu(), slow, atol=1e-4, rtol=1e-4)
    reader = PromptReader(backbone, 1 << 20, budget)
    reader.read(PROMPTS[0])
    reader.read(PROMPTS[2][:9])  # a start of a prompt that has gone on since
    for _ in range(2):  # the second time everything is known
        read = reader.features(PROMPTS, CANDIDATES, LAYERS, last_and_prompt)
        torch.testing.assert_close(torch.cat(read).cpu(), slow, atol=1e-4, rtol=1e-4)
    assert reader.reused > 0


@pytest.mark.parametrize("family", ["qwen3", "gpt2"])
def test_in_bfloat16_they_are_near(gpu: str, family: str) -> None:
    backbone, slow = on_gpu(family, gpu)
    backbone.model.to(torch.bfloat16)  # type: ignore[call-overload]
    fast = score_features(backbone, PROMPTS, CANDIDATES, LAYERS, last_and_prompt)
    one = one_by_one.score_features(backbone, PROMPTS, CANDIDATES, LAYERS, last_and_prompt)
    for found in (torch.cat(fast), torch.cat(one)):
        assert found.dtype == torch.bfloat16
        # 8 bits of mantissa: single numbers are off by up to 2^-8, and three layers add their own.
        assert (found.float().cpu() - slow).norm() < 0.02 * slow.norm()


def test_gradients_equal_those_of_the_cpu(gpu: str) -> None:
    def gradients(function: Any, device: str) -> list[Tensor]:
        backbone = _backbone("qwen3")
        model = attach_lora(backbone.model, LoraSettings(r=2))
        generator = torch.Generator().manual_seed(1)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
        backbone.model = model.to(device)
        torch.cat(function(backbone, PROMPTS, CANDIDATES, [1, -1], mean)).square().sum().backward()
        return [p.grad.cpu() for p in backbone.model.parameters() if p.grad is not None]

    fast, slow = gradients(score_features, gpu), gradients(one_by_one.score_features, "cpu")
    assert len(fast) == len(slow) > 4
    for f, s in zip(fast, slow, strict=True):
        assert (f - s).norm() < 1e-3 * s.norm()
