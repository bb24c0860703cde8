"""Heads learn on a GPU what they learn on the CPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agentq.training.critic import fit_heads
from agentq.training.head_loss import HeadLoss, ObjectiveSettings
from agentq.training.loop import make_accelerator
from tests.agentq.training.computing import training_on
from tests.agentq.training.test_critic import HEAD, QUICK, corridor, shop

pytestmark = pytest.mark.cuda

SHORT = replace(QUICK, steps=40, log_every=1)


@pytest.mark.parametrize("name", ["mc", "td", "iql"])
def test_the_same_seed_gives_the_heads_of_the_cpu(gpu: str, name: Any) -> None:
    objective = ObjectiveSettings(name=name, gamma=0.9, polyak=0.1)
    with training_on("cpu"):
        slow = fit_heads(corridor(), HEAD, objective, SHORT)
    with training_on(gpu):
        assert make_accelerator(SHORT).device.type == gpu
        fit = fit_heads(corridor(), HEAD, objective, SHORT)
    losses = [record["loss"] for record in fit.training.history]
    assert losses[-1] < 0.5 * losses[0]
    # The order of sums differs, and AdamW makes whole steps of what rounding leaves of a gradient of zero.
    np.testing.assert_allclose(losses, [r["loss"] for r in slow.training.history], rtol=0.05, atol=1e-4)
    assert {p.device.type for p in fit.heads.parameters()} == {"cpu"}  # heads come back to where the data is
    features = torch.from_numpy(np.asarray(corridor().q_features))
    torch.testing.assert_close(
        fit.heads.q_values(features), slow.heads.q_values(features), atol=2e-2, rtol=0.0
    )
    assert fit.metrics["explained_variance"] == pytest.approx(slow.metrics["explained_variance"], abs=0.02)


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_group_terms_and_validation(gpu: str, precision: Any) -> None:
    data, _ = shop()
    terms = ObjectiveSettings(label_weight=1.0, rank_weight=1.0, cql_weight=0.1, weight=0.1)
    settings = replace(QUICK, mixed_precision=precision, evaluate_every=50)
    with training_on(gpu):
        fit = fit_heads(data, replace(HEAD, dropout=0.1), terms, settings, validation_share=0.3)
    assert fit.metrics["rank_correlation"] > 0.6
    assert fit.training.best_step is not None
    assert len(fit.training.evaluations) == 4


def test_a_resumed_run_ends_like_a_whole_one(gpu: str, tmp_path: Path) -> None:
    data, _ = shop()
    settings = replace(SHORT, steps=20, checkpoint_every=8)
    head = replace(HEAD, dropout=0.3)  # draws from the GPU's random numbers
    with training_on(gpu):
        whole = fit_heads(data, head, ObjectiveSettings(), settings, directory=tmp_path)
        (tmp_path / "step_00000020").rename(tmp_path / "gone")
        again = fit_heads(data, head, ObjectiveSettings(), settings, directory=tmp_path)
    assert again.training.resumed_from == 16
    ends = [[record["loss"] for record in fit.training.history] for fit in (whole, again)]
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-5)


def test_the_caller_keeps_its_random_numbers(gpu: str) -> None:
    data, _ = shop()
    with training_on(gpu):
        torch.manual_seed(5)
        expected = torch.rand(3, device=gpu)
        torch.manual_seed(5)
        fit_heads(data, replace(HEAD, dropout=0.3), ObjectiveSettings(), replace(SHORT, steps=2))
        assert torch.equal(torch.rand(3, device=gpu), expected)


def test_a_slow_copy_follows_on_the_gpu(gpu: str) -> None:
    from agentq.critics.heads import QHeads

    module = HeadLoss(QHeads(4, replace(HEAD, state_heads=2)), ObjectiveSettings(name="td", polyak=0.25)).to(
        gpu
    )
    assert module.target is not None
    before = module.target.q.weights[0].clone()
    with torch.no_grad():
        module.heads.q.weights[0].add_(1.0)
    module.after_step()
    torch.testing.assert_close(module.target.q.weights[0], before + 0.25)
