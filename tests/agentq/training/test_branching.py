from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from agentq.backbones import BackboneConfig, load_backbone
from agentq.errors import TrainingError
from agentq.training.branching import Branch, BranchingExample, branching_loss, collate, token_budget_batches

EXAMPLES = [
    BranchingExample(
        (5, 6, 7, 8),
        (Branch((9, 10, 11), (0.0, 0.0, 1.0)), Branch((12, 13), (1.0, 0.5)), Branch((14,), (2.0,))),
    ),
    BranchingExample((20, 21), (Branch((22, 23, 24, 25), (1.0, 1.0, 1.0, 1.0)),)),
]


def test_packed_branches_equal_separate_sequences(tiny_model_folder: Path) -> None:
    model = load_backbone(BackboneConfig(name=str(tiny_model_folder))).model
    loss, per_token = branching_loss(model, collate(EXAMPLES, pad_id=0))
    expected: list[float] = []
    weights: list[float] = []
    for example in EXAMPLES:
        for branch in example.branches:
            ids = torch.tensor([[*example.prompt, *branch.ids]])
            logits = model(input_ids=ids).logits[0]
            first = len(example.prompt) - 1
            losses = functional.cross_entropy(
                logits[first : first + len(branch.ids)], torch.tensor(branch.ids), reduction="none"
            )
            kept = [(float(x), w) for x, w in zip(losses, branch.weights, strict=True) if w]
            expected += [x for x, _ in kept]
            weights += [w for _, w in kept]
    assert per_token.tolist() == pytest.approx(expected, abs=1e-5)
    mean = sum(x * w for x, w in zip(expected, weights, strict=True)) / sum(weights)
    assert float(loss) == pytest.approx(mean, abs=1e-5)


def test_a_branch_has_a_weight_for_every_token() -> None:
    with pytest.raises(TrainingError, match="1 weights for 2 tokens"):
        Branch((1, 2), (1.0,))


def test_batches_hold_every_index_once_and_keep_the_budget() -> None:
    lengths = [(7 * i) % 50 + 1 for i in range(300)]
    batches = token_budget_batches(lengths, budget=200, seed=3, window=2)
    assert sorted(i for batch in batches for i in batch) == list(range(300))
    assert all(len(b) * max(lengths[i] for i in b) <= 200 for b in batches)
    assert batches == token_budget_batches(lengths, budget=200, seed=3, window=2)
    assert batches != token_budget_batches(lengths, budget=200, seed=4, window=2)
