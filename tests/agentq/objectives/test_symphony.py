"""Fading replay and the tanh losses."""

from __future__ import annotations

import math

import pytest
import torch

from agentq.errors import TrainingError
from agentq.objectives.symphony import (
    asymmetric_loss,
    fade_golden,
    fade_tanh_pi,
    fade_tanh_square,
    symmetric_loss,
    temporal_advantage,
)


def test_fading_by_hand() -> None:
    raw = [math.tanh(7 * (i / 4) ** 2) for i in range(4)]
    torch.testing.assert_close(fade_tanh_square(4), torch.tensor(raw, dtype=torch.float64) / sum(raw))
    assert fade_tanh_pi(4)[2].item() == pytest.approx(math.tanh((math.pi / 2) ** math.e))


def test_golden_fading_is_flat_for_the_newest() -> None:
    weights = fade_golden(100)
    assert weights.sum().item() == pytest.approx(1.0)
    assert weights[0] / weights.max() == pytest.approx(0.013, abs=0.002)
    assert weights[45:].min() > 0.8 * weights.max()


def test_losses() -> None:
    error = torch.tensor([2.0, -2.0], dtype=torch.float64)
    assert symmetric_loss(error).item() == pytest.approx(2 * math.tanh(1))
    assert asymmetric_loss(error).item() == pytest.approx(0.0)
    gain = temporal_advantage(torch.tensor([-1.0]), torch.tensor(-2.0))
    assert gain.item() == pytest.approx(0.5 * math.tanh(0.25))


def test_refusals() -> None:
    with pytest.raises(TrainingError, match="average"):
        temporal_advantage(torch.ones(2), torch.tensor(0.0))
    with pytest.raises(TrainingError, match="1 items"):
        fade_golden(1)
