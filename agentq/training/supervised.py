"""Fine-tune a backbone on chosen tokens: imitation of logged actions, and questions that the log answers.

An example is a prompt and one or more branches behind it (``agentq.training.branching``): an action to be
imitated, or an action followed by the answer to a question about it. Only tokens with a weight are learnt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from agentq.backbones.backbone import Backbone
from agentq.errors import TrainingError
from agentq.training.branching import (
    Branch,
    BranchingBatch,
    BranchingExample,
    collate,
    hidden_states,
    token_budget_batches,
)
from agentq.training.loop import Evaluate, TrainingResult, train
from agentq.training.settings import TrainingSettings
from agentq.training.token_batches import TokenBudgetSource


@dataclass(frozen=True, slots=True)
class SupervisedFit:
    """A tuned backbone's record; the weights are in the backbone that was handed over."""

    training: TrainingResult
    loss: float | None  # on the validation examples, nats per predicted token


def token_example(
    prompt: Sequence[int], continuation: Sequence[int], weights: Sequence[float] | None = None
) -> BranchingExample:
    """One prompt with one continuation; without weights every token of the continuation is learnt."""
    chosen = tuple(weights) if weights is not None else (1.0,) * len(continuation)
    if len(chosen) != len(continuation):
        raise TrainingError(f"{len(chosen)} weights for {len(continuation)} tokens of a continuation.")
    return BranchingExample(tuple(prompt), (Branch(tuple(continuation), chosen),))


def tune_backbone(
    backbone: Backbone,
    examples: Sequence[BranchingExample],
    settings: TrainingSettings,
    directory: Path | None = None,
    *,
    token_budget: int = 8192,
    validation: Sequence[BranchingExample] = (),
    full: bool = False,
) -> SupervisedFit:
    """Next-token cross entropy on weighted tokens; LoRA adapters where attached, all weights with ``full``.

    Batches are cut by ``token_budget`` padded tokens among examples of similar length
    (``settings.batch_size`` is not used); ``settings.steps`` counts optimiser steps, see
    ``steps_per_epoch``. Resumes in ``directory`` like every training. Raises ``TrainingError`` for unusable
    examples.
    """
    if full:
        backbone.model.requires_grad_(True)
    limit = backbone.max_length
    for number, example in enumerate([*examples, *validation]):
        _check(example, number, limit)
    if not examples:
        raise TrainingError("there is nothing to learn: 0 examples. Check the log and what is taken from it.")
    source = branching_source(examples, token_budget, settings.seed, backbone.pad_id)
    module = NextToken(backbone.model)
    evaluate: Evaluate | None = None
    if validation:
        evaluate = Validation(validation, token_budget, backbone.pad_id)
    result = train(module, source, settings, directory, evaluate=evaluate, monitor="score", name="supervised")
    loss = None
    if evaluate is not None:
        with torch.no_grad():
            loss = -evaluate(module)["score"]
    return SupervisedFit(result, loss)


def steps_per_epoch(
    examples: Sequence[BranchingExample], token_budget: int, settings: TrainingSettings, processes: int = 1
) -> int:
    """Optimiser steps in which every example is seen about once."""
    batches = len(token_budget_batches([e.length for e in examples], token_budget, settings.seed))
    return max(1, batches // (settings.gradient_accumulation * processes))


def branching_source(
    examples: Sequence[BranchingExample], budget: int, seed: int, pad_id: int
) -> TokenBudgetSource[BranchingBatch]:
    """Batches of branching examples; the loss of one is a mean over its predicted tokens' weights."""
    return TokenBudgetSource(
        lengths=[example.length for example in examples],
        budget=budget,
        seed=seed,
        make=lambda indices: collate([examples[i] for i in indices], pad_id),
        weigh=lambda batch: float(batch.weight.sum()),
        identity=_digest(examples),
    )


class NextToken(nn.Module):
    """``forward(BranchingBatch)`` -> {"loss"}: weighted mean cross entropy in nats."""

    frozen_prefixes = ("model.",)  # a frozen base has its own files; adapters are what is learnt

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: BranchingBatch) -> dict[str, Tensor]:
        """Loss over the predicted positions only: the others never reach the output layer."""
        model: Any = self.model
        hidden = hidden_states(model, batch)
        chosen = hidden.reshape(-1, hidden.shape[-1])[batch.source]  # (P, D)
        logits = model.get_output_embeddings()(chosen).float()  # (P, V)
        losses = functional.cross_entropy(logits, batch.target, reduction="none")
        return {"loss": (losses * batch.weight).sum() / batch.weight.sum()}


class Validation:
    """Scores a module by minus its mean loss on held-out examples."""

    def __init__(self, examples: Sequence[BranchingExample], budget: int, pad_id: int) -> None:
        self.examples, self.pad_id = examples, pad_id
        self.batches = token_budget_batches([e.length for e in examples], budget, seed=0)

    def __call__(self, module: nn.Module) -> Mapping[str, float]:
        """{"score", "loss"}: nats per predicted token, the score negated."""
        device = next(module.parameters()).device
        total = weight = 0.0
        for indices in self.batches:
            batch = collate([self.examples[i] for i in indices], self.pad_id).to(device)
            mass = float(batch.weight.sum())
            total, weight = total + float(module(batch)["loss"]) * mass, weight + mass
        return {"score": -total / weight, "loss": total / weight}


def _check(example: BranchingExample, number: int, limit: int) -> None:
    longest = len(example.prompt) + max((len(b.ids) for b in example.branches), default=0)
    if not example.prompt or not any(any(branch.weights) for branch in example.branches):
        raise TrainingError(
            f"example {number} has no prompt or no token with a weight, so it teaches nothing."
        )
    if longest > limit:
        raise TrainingError(
            f"example {number} has {longest} tokens, the backbone reads {limit}. Shorten the prompt."
        )


def _digest(examples: Sequence[BranchingExample]) -> str:
    digest = hashlib.sha256()
    for example in examples:
        digest.update(np.asarray(example.prompt, dtype=np.int64).tobytes() + b"|")
        for branch in example.branches:
            digest.update(np.asarray(branch.ids, dtype=np.int64).tobytes() + b"/")
            digest.update(np.asarray(branch.weights, dtype=np.float64).tobytes() + b";")
    return digest.hexdigest()
