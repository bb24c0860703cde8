"""GRPO's loss by hand: clipping on the side that would move further, masks, refusals."""

from __future__ import annotations

import math

import pytest
import torch

from agentq.errors import TrainingError
from agentq.objectives.grpo import grpo_loss


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "slope"),
    [
        (1.0, 1.0, -1.0, -1.0),
        (1.5, 1.0, -1.2, 0.0),  # already far enough up
        (1.5, -1.0, 1.5, 1.5),  # going the wrong way is not clipped
        (0.5, 1.0, -0.5, -0.5),
        (0.5, -1.0, 0.8, 0.0),
    ],
)
def test_one_token(ratio: float, advantage: float, loss: float, slope: float) -> None:
    log_prob = torch.tensor([[math.log(ratio)]], dtype=torch.float64, requires_grad=True)
    zero, one = torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1)
    result = grpo_loss(log_prob, zero, one, torch.tensor([advantage], dtype=torch.float64))
    assert result.item() == pytest.approx(loss)
    assert torch.autograd.grad(result, log_prob)[0].item() == pytest.approx(slope)


def test_tokens_outside_the_mask_do_not_count() -> None:
    log_prob = torch.tensor([[0.1, 5.0], [0.2, 0.3]])
    mask = torch.tensor([[1, 0], [1, 1]])
    result = grpo_loss(log_prob, log_prob, mask, torch.tensor([1.0, -0.5]))
    assert result.item() == pytest.approx(-(1.0 - 0.5 - 0.5) / 3)


def test_a_clip_out_of_range_is_refused() -> None:
    zero = torch.zeros(1, 1)
    with pytest.raises(TrainingError, match="clip is 0"):
        grpo_loss(zero, zero, zero + 1, torch.zeros(1), clip=0.0)
