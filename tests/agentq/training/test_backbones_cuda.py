"""Backbones learn on a GPU: with heads on them, and from text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agentq.backbones import Backbone, BackboneConfig, LoraSettings, load_backbone
from agentq.critics.q_head import QCritic
from agentq.training.head_loss import ObjectiveSettings
from agentq.training.joint import JointFit, JointSettings, fit_joint
from agentq.training.supervised import token_example, tune_backbone
from agentq.types import Candidate
from tests.agentq.training.computing import training_on
from tests.agentq.training.test_joint import HEAD, QUICK, make_examples, page

pytestmark = pytest.mark.cuda

TERMS = ObjectiveSettings(label_weight=1.0, rank_weight=1.0)
BATCH = [(page(number), [Candidate(a, a) for a in ("buy", "leave")]) for number in (2, 3)]


def load(folder: Path, device: str, full: bool = False) -> Backbone:
    lora = None if full else LoraSettings(r=4)
    return load_backbone(BackboneConfig(name=str(folder), device=device, lora=lora))


def joined(folder: Path, device: str, full: bool, steps: int, **options: Any) -> JointFit:
    backbone = load(folder, device, full)
    with training_on(device):
        return fit_joint(
            backbone, make_examples(backbone), None, HEAD, options.pop("objective", TERMS),
            replace(QUICK, steps=steps, **options), JointSettings(full=full),
        )  # fmt: skip


@pytest.mark.parametrize("full", [False, True])
def test_a_step_equals_that_of_the_cpu(tiny_model_folder: Path, gpu: str, full: bool) -> None:
    slow = joined(tiny_model_folder, "cpu", full, 2).training.history
    fit = joined(tiny_model_folder, gpu, full, 2)
    assert fit.critic.backbone.device.type == gpu
    # The first step is a plain forward and backward; the second sees AdamW enlarge what rounding changed.
    for found, expected, tolerance in zip(fit.training.history, slow, (1e-3, 2e-2), strict=True):
        assert found["loss"] == pytest.approx(expected["loss"], rel=tolerance)
        assert found["grad_norm"] == pytest.approx(expected["grad_norm"], rel=5 * tolerance)


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_the_trained_critic_scores_and_travels(
    tiny_model_folder: Path, tmp_path: Path, gpu: str, precision: Any
) -> None:
    fit = joined(tiny_model_folder, gpu, False, 30, mixed_precision=precision)
    losses = [record["loss"] for record in fit.training.history]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    again = QCritic.from_pretrained(fit.critic.save_pretrained(tmp_path / "critic"), device="cpu")
    for found, expected in zip(again.score(BATCH), fit.critic.score(BATCH), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_targets_from_next_states(tiny_model_folder: Path, gpu: str) -> None:
    fit = joined(tiny_model_folder, gpu, False, 3, objective=ObjectiveSettings(name="td"))
    assert np.isfinite([record["loss"] for record in fit.training.history]).all()


def test_next_tokens_are_learnt(tiny_model_folder: Path, gpu: str) -> None:
    backbone = load(tiny_model_folder, gpu, full=True)
    examples = [
        token_example(backbone.prompt_ids(page(n)), backbone.action_ids("buy" if n % 2 else "leave"))
        for n in range(16)
    ]
    with training_on(gpu):
        fit = tune_backbone(backbone, examples, QUICK, validation=examples[:4], full=True)
    losses = [record["loss"] for record in fit.training.history]
    assert losses[-1] < 0.7 * losses[0]
    assert fit.loss is not None
    assert fit.loss < losses[0]
    assert backbone.device.type == gpu
    assert torch.is_grad_enabled()
