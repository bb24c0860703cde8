"""Decoupled Q-chunking: targets, windows, optimism, speed of value propagation, ablations."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from agentq.errors import TrainingError
from agentq.objectives.chunking import (
    ChunkingSettings,
    chunk_critic_loss,
    chunk_starts,
    chunk_target,
    chunking_losses,
    distillation_loss,
    goal_chunks,
    reward_chunks,
)
from agentq.objectives.returns import n_step_returns
from tests.conformance.runner import load_checks, read_rows


def test_reference_vectors(shared_data: Path) -> None:
    rows, broken = read_rows(shared_data / "seed_methods" / "vectors" / "dqc.jsonl")
    result = load_checks("seed_methods")["dqc"](rows, shared_data)
    assert not broken
    assert result.failures == []
    assert result.passed == len(rows)


LAST = torch.tensor([0, 0, 0, 1, 0, 0, 1])


def test_windows_end_with_their_episode() -> None:
    assert chunk_starts(LAST, 2).tolist() == [0, 1, 4]
    with pytest.raises(TrainingError, match="row 5 has fewer than 2 steps"):
        goal_chunks(LAST, torch.tensor([0, 5]), torch.tensor([3, 6]), 2, 0.9)
    with pytest.raises(TrainingError, match="does not end an episode"):
        chunk_starts(LAST[:-1], 2)
    with pytest.raises(TrainingError, match="horizon is 0"):
        chunk_starts(LAST, 0)


def test_ordinary_rewards_are_n_step_returns() -> None:
    rewards = torch.tensor([0.0, 0.5, 0.0, 1.0, 0.2, 0.0, 0.4], dtype=torch.float64)
    terminated = torch.tensor([0, 0, 0, 1, 0, 0, 0])  # the second episode was truncated
    start = torch.arange(7)
    rows = reward_chunks(rewards, terminated, LAST, start, 3, 0.9)
    assert rows.horizon.tolist() == [3, 3, 2, 1, 3, 2, 1]
    assert rows.next_index.tolist() == [3, 3, 3, 3, 6, 6, 6]
    assert rows.mask.tolist() == [1, 0, 0, 0, 1, 1, 1]
    assert rows.actions[2].tolist() == [2, 3, 3]
    values = torch.tensor([0.0, 0.1, 0.2, 0.3, 0.0], dtype=torch.float64)  # of s_0 .. s_3, 0 after the end
    expected = n_step_returns(rewards[:4], values, gamma=0.9, steps=3)
    got = rows.reward[:4] + 0.9 ** rows.horizon[:4] * rows.mask[:4] * values[rows.next_index[:4]]
    assert torch.allclose(got, expected)


def test_optimism_moves_the_action_critic_up() -> None:
    chunk = torch.tensor([[2.0, -2.0]], dtype=torch.float64)  # two continuations of the same action
    found: dict[float, float] = {}
    for kappa in (0.5, 0.9):
        logit = torch.zeros(1, 1, dtype=torch.float64, requires_grad=True)
        for _ in range(80):
            loss = distillation_loss(logit.expand(1, 2), chunk, torch.ones(2), kappa)
            (gradient,) = torch.autograd.grad(loss.sum(), logit)
            logit = (logit - 4 * gradient).detach().requires_grad_()
        found[kappa] = float(logit.detach().sigmoid())
    assert found[0.5] == pytest.approx(0.5, abs=1e-3)
    assert found[0.5] < found[0.9] < float(chunk.sigmoid().max())


def passes(horizon: int, rounds: int, steps: int = 12) -> float:
    """Value at the start of a corridor with its reward at the end, after some exact fits to the target."""
    last = torch.zeros(steps)
    last[-1] = 1
    rewards = last.to(torch.float64)
    rows = reward_chunks(rewards, last, last, torch.arange(steps), horizon, 1.0)
    value = torch.zeros(steps, dtype=torch.float64)
    for _ in range(rounds):
        value = chunk_target(rows.reward, rows.mask, rows.horizon, value[rows.next_index], 1.0)
    return float(value[0])


def test_chunks_carry_values_faster_than_single_steps() -> None:
    assert [passes(4, rounds) for rounds in (1, 2, 3)] == [0.0, 0.0, 1.0]
    assert [passes(1, rounds) for rounds in (3, 11, 12)] == [0.0, 0.0, 1.0]


def losses(settings: ChunkingSettings, horizon: Tensor, chunk: Tensor | None) -> Tensor:
    q, zero = torch.full((2, 3), 0.3), torch.zeros(3)
    parts = chunking_losses(q, zero, q, zero, zero, zero + 1, horizon, zero + 1, settings, chunk)
    return parts.total


def test_ablations_drop_the_chunk_critic() -> None:
    q, zero, one = torch.full((2, 3), 0.3), torch.zeros(3), torch.ones(3)
    several = torch.tensor([2, 2, 1])
    n_step = losses(ChunkingSettings("n_step"), several, None)
    value = chunking_losses(q, zero, q, zero, zero, one, several, one, ChunkingSettings("n_step")).value
    assert torch.allclose(n_step, chunk_critic_loss(q, zero, zero, one, several, 0.999).mean() + value)
    assert torch.isfinite(losses(ChunkingSettings("chunk"), several, q))
    with pytest.raises(TrainingError, match="takes chunk_logits if and only if"):
        losses(ChunkingSettings("chunk"), several, None)
    with pytest.raises(TrainingError, match="takes chunk_logits if and only if"):
        losses(ChunkingSettings("n_step"), several, q)
    with pytest.raises(TrainingError, match="windows of several steps"):
        losses(ChunkingSettings("one_step"), several, None)
    with pytest.raises(TrainingError, match="target 'two_step' is unknown"):
        ChunkingSettings("two_step")  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="kappa is 1"):
        distillation_loss(q, q, one, kappa=1.0)
    with pytest.raises(TrainingError, match="regression 'median' is unknown"):
        distillation_loss(q, q, one, how="median")  # type: ignore[arg-type]
