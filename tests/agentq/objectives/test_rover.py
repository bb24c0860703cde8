"""ROVER's losses: gradients, fixed points, refusals, and the reference vectors where they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from agentq.errors import TrainingError
from agentq.objectives.rover import (
    TokenStatistics,
    back_up,
    candidate_td_loss,
    largest_temperature,
    posterior_mean,
    rover_loss,
    sarsa_loss,
    token_statistics,
)
from tests.conformance.runner import load_checks, read_rows, stem


@pytest.mark.parametrize("name", ["rover_loss", "centred_reward", "tabular_tree", "didactic_4x4x4"])
def test_reference_vectors(shared_data: Path, name: str) -> None:
    folder = shared_data / "rover" / "vectors"
    rows, broken = read_rows(next(path for path in folder.iterdir() if stem(path) == name))
    result = load_checks("rover")[name](rows, shared_data)
    assert not broken
    assert result.failures == []
    assert result.passed == len(rows)


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(3, 5, 7, generator=generator, dtype=torch.float64)
    tokens = torch.randint(7, (3, 5), generator=generator)
    mask = torch.tensor([[0, 1, 1, 1, 1], [0, 0, 1, 1, 0], [1, 1, 0, 0, 0]])
    return logits, tokens, mask, torch.tensor([0.6, -0.4, -0.2], dtype=torch.float64)


def test_the_first_step_is_a_centred_policy_gradient(batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    logits, tokens, mask, reward = batch
    leaf = logits.clone().requires_grad_()
    result = rover_loss(token_statistics(leaf, tokens), token_statistics(logits, tokens), mask, reward)
    result.loss.backward()
    assert float(result.q.detach().abs().max()) == 0.0
    other = logits.clone().requires_grad_()
    log_prob = token_statistics(other, tokens).log_prob
    (-2 * (reward[:, None] * log_prob * mask).sum() / mask.sum()).backward()
    assert leaf.grad is not None
    assert other.grad is not None
    assert torch.allclose(leaf.grad, other.grad)
    assert float(leaf.grad[mask == 0].abs().max()) == 0.0


def test_padding_changes_nothing(batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    logits, tokens, mask, reward = batch
    old = token_statistics(logits * 0.7, tokens)
    new = token_statistics(logits, tokens)
    short = rover_loss(new, old, mask, reward).loss

    def padded(part: Tensor) -> Tensor:
        return torch.cat([part, torch.full_like(part[:, :3], 9)], dim=1)

    def longer(part: TokenStatistics) -> TokenStatistics:
        return TokenStatistics(padded(part.log_prob), padded(part.mean_log_softmax))

    wide = rover_loss(longer(new), longer(old), torch.cat([mask, mask[:, :3] * 0], dim=1), reward)
    assert torch.allclose(wide.loss, short)


def test_no_gradient_through_the_target(batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    logits, tokens, mask, reward = batch
    leaf = logits.clone().requires_grad_()
    result = rover_loss(token_statistics(leaf, tokens), token_statistics(logits * 0.5, tokens), mask, reward)
    assert not result.target.requires_grad
    assert not result.next_q.requires_grad
    assert float(result.next_q.abs().max()) > 0


def _values(backup: str) -> Tensor:
    """Fixed point on a chain of two states: h0 with 2 candidates, h1 with 4 of which one wins. (2,) values of h0."""
    q0, q1 = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    leaf = q0.requires_grad_()
    reward, done = (
        torch.tensor([0.0, 0.3], dtype=torch.float64),
        torch.tensor([0.0, 1.0], dtype=torch.float64),
    )
    next_q = torch.stack([q1, torch.full_like(q1, 7.0)])[None]  # what follows the end must not count
    valid = torch.tensor([[True] * 4, [False] * 4])
    policy = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.0] * 4], dtype=torch.float64)
    for _ in range(300):
        loss = candidate_td_loss(leaf, next_q, valid, reward, done, backup=backup, policy=policy)[0]  # type: ignore[arg-type]
        (gradient,) = torch.autograd.grad(loss, leaf)
        leaf = (leaf - 0.5 * gradient).detach().requires_grad_()
    return leaf.detach()[0]


@pytest.mark.parametrize(("backup", "value"), [("mean", 0.25), ("max", 1.0), ("expected", 0.5)])
def test_td_reaches_the_fixed_point_of_its_backup(backup: str, value: float) -> None:
    assert _values(backup).tolist() == pytest.approx([value, 0.3])


def test_sarsa_equals_the_mean_backup_under_uniform_execution() -> None:
    """Averaged over all next candidates, its gradient is that of the mean backup."""
    q = torch.tensor([[0.4]], dtype=torch.float64, requires_grad=True)
    next_q = torch.tensor([0.9, 0.1, 0.2], dtype=torch.float64)
    reward = done = torch.zeros(1, dtype=torch.float64)
    losses = [sarsa_loss(q, value.reshape(1, 1), reward, done).sum() for value in next_q]
    (sarsa,) = torch.autograd.grad(torch.stack(losses).mean(), q)
    mean = candidate_td_loss(q, next_q[None, None], torch.ones(1, 3), reward, done).sum()
    assert torch.allclose(sarsa, torch.autograd.grad(mean, q)[0])


def test_logit_heads_learn_probabilities() -> None:
    logits = torch.zeros(2, 1, requires_grad=True)
    next_logits = torch.tensor([4.0, -4.0]).expand(2, 1, 2)
    one, zero = torch.ones(1, 2), torch.zeros(1)
    loss = candidate_td_loss(logits, next_logits, one, zero, zero, metric="classification")
    assert torch.autograd.grad(loss.sum(), logits)[0].abs().max() < 1e-6  # the mean is already 0.5


def test_refusals() -> None:
    q, zero = torch.zeros(1, 2, 3), torch.zeros(2)
    with pytest.raises(TrainingError, match="transition 0 goes on in a state without candidates"):
        candidate_td_loss(torch.zeros(1, 2), q, torch.zeros(2, 3), zero, zero)
    with pytest.raises(TrainingError, match="no valid candidate"):
        back_up(q, torch.zeros(1, 2, 3))
    with pytest.raises(TrainingError, match="needs policy="):
        back_up(q, torch.ones(1, 2, 3), "expected")
    with pytest.raises(TrainingError, match="no probability"):
        back_up(torch.zeros(3), torch.tensor([1, 0, 0]), "expected", policy=torch.tensor([0.0, 1.0, 0.0]))
    with pytest.raises(TrainingError, match="backup 'min' is unknown"):
        back_up(q, torch.ones(1, 2, 3), "min")  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="temperature is 0"):
        back_up(q, torch.ones(1, 2, 3), "softmax", temperature=0)
    with pytest.raises(TrainingError, match="temperature is 0"):
        token_statistics(torch.zeros(1, 1, 2), torch.zeros(1, 1, dtype=torch.long), 0)
    statistics = TokenStatistics(torch.zeros(1, 2), torch.zeros(1, 2))
    with pytest.raises(TrainingError, match="no token of the batch"):
        rover_loss(statistics, statistics, torch.zeros(1, 2), torch.zeros(1))
    with pytest.raises(TrainingError, match="more successes than rollouts"):
        posterior_mean(torch.tensor([3.0]), torch.tensor([2.0]))
    with pytest.raises(TrainingError, match="below that of choosing uniformly"):
        largest_temperature(1.0, 2, 0.5)
