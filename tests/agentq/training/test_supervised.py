from __future__ import annotations

from pathlib import Path

import pytest
import torch

from agentq.backbones import Backbone, BackboneConfig, LoraSettings, load_backbone
from agentq.errors import TrainingError
from agentq.training.branching import BranchingExample
from agentq.training.settings import TrainingSettings
from agentq.training.supervised import branching_source, steps_per_epoch, token_example, tune_backbone

SETTINGS = TrainingSettings(steps=12, learning_rate=1e-2, log_every=1, tracker="none", schedule="constant")


def make_examples(backbone: Backbone, count: int = 12) -> list[BranchingExample]:
    made: list[BranchingExample] = []
    for number in range(count):
        prompt = backbone.prompt_ids([{"role": "user", "content": f"item {number} " + "x" * (number % 5)}])
        made.append(token_example(prompt, backbone.action_ids("yes" if number % 2 else "no")))
    return made


@pytest.mark.parametrize("lora", [None, LoraSettings(r=4)])
def test_learns_the_chosen_tokens(tiny_model_folder: Path, lora: LoraSettings | None) -> None:
    backbone = load_backbone(BackboneConfig(name=str(tiny_model_folder), device="cpu", lora=lora))
    before = backbone.fingerprint
    examples = make_examples(backbone)
    fit = tune_backbone(
        backbone, examples, SETTINGS, token_budget=400, validation=examples[:4], full=lora is None
    )
    assert fit.training.history[-1]["loss"] < fit.training.history[0]["loss"] - 0.5
    assert fit.loss is not None
    assert fit.loss < fit.training.history[0]["loss"]
    assert (backbone.fingerprint == before) == (lora is not None)  # adapters leave the base as it was


def test_accumulation_weighs_tokens_not_batches(tiny_model_folder: Path) -> None:
    """Two micro-batches of unequal token counts give the step of one batch with both."""

    def trained(budget: int, accumulation: int) -> dict[str, float]:
        backbone = load_backbone(BackboneConfig(name=str(tiny_model_folder), device="cpu"))
        short = token_example(
            backbone.prompt_ids([{"role": "user", "content": "a"}]), backbone.action_ids("b")
        )
        long = token_example(
            backbone.prompt_ids([{"role": "user", "content": "a" * 60}]), backbone.action_ids("c" * 30)
        )
        settings = TrainingSettings(steps=1, gradient_accumulation=accumulation, log_every=1, tracker="none")
        fit = tune_backbone(backbone, [short, long], settings, token_budget=budget, full=True)
        return fit.training.history[0]

    whole, halves = trained(100_000, 1), trained(1, 2)
    assert halves["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    assert halves["grad_norm"] == pytest.approx(whole["grad_norm"], rel=1e-4)


def test_every_example_once_an_epoch_under_the_budget(tiny_model_folder: Path) -> None:
    backbone = load_backbone(BackboneConfig(name=str(tiny_model_folder), device="cpu"))
    examples = make_examples(backbone, 30)
    source = branching_source(examples, 300, seed=3, pad_id=backbone.pad_id)
    per_epoch = steps_per_epoch(examples, 300, SETTINGS)
    seen = sorted(i for index in range(per_epoch) for i in source.indices(index))
    assert seen == list(range(30))
    sizes = [source.batch(index).input_ids.numel() for index in range(3 * per_epoch)]
    assert max(sizes) <= 300
    again = branching_source(examples, 300, seed=3, pad_id=backbone.pad_id)
    assert again.indices(2 * per_epoch) == source.indices(2 * per_epoch)  # any batch, without those before
    assert again.identity == source.identity


def test_unusable_examples_are_named(tiny_model_folder: Path) -> None:
    backbone = load_backbone(BackboneConfig(name=str(tiny_model_folder), device="cpu"))
    good = make_examples(backbone, 1)
    with pytest.raises(TrainingError, match="0 examples"):
        tune_backbone(backbone, [], SETTINGS)
    with pytest.raises(TrainingError, match="example 1 has 3001 tokens, the backbone reads 2048"):
        tune_backbone(backbone, [*good, token_example([1] * 3000, [2])], SETTINGS)
    with pytest.raises(TrainingError, match="example 0 has no prompt or no token"):
        tune_backbone(backbone, [token_example([1], [2], [0.0])], SETTINGS)
    with pytest.raises(TrainingError, match="no parameter is trainable"):
        tune_backbone(backbone, good, SETTINGS)
    with pytest.raises(TrainingError, match="2 weights for 1 tokens"):
        token_example([1], [2], [1.0, 1.0])
    with torch.no_grad():
        next(backbone.model.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"step 0: the loss is nan on micro-batch 0 \(examples 0\)"):
        tune_backbone(backbone, good, SETTINGS, full=True)
