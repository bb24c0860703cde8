"""Centred rewards, candidate backups and the nearest-action constraint on cases worked out by hand."""

from __future__ import annotations

import pytest
import torch

from agentq.errors import TrainingError
from agentq.objectives.prdc import prdc_loss
from agentq.objectives.rover import balanced_rewards, candidate_backup, centred_rewards, standardised_rewards


def test_rewards_are_centred_by_group() -> None:
    scores, groups = torch.tensor([1.0, 0.0, 0.3, 1.0]), torch.tensor([7, 7, 2, 7])
    third = 1 / 3
    expected = torch.tensor([third, -2 * third, 0.3, third])  # a group of one keeps its score
    torch.testing.assert_close(centred_rewards(scores, groups), expected)
    deviation = torch.tensor([1.0, 0.0, 1.0]).std()
    scaled = expected / torch.tensor([deviation, deviation, 1.0, deviation])
    torch.testing.assert_close(standardised_rewards(scores, groups, 0.0), scaled)
    assert standardised_rewards(torch.ones(3), torch.zeros(3, dtype=torch.int64)).tolist() == [0.0] * 3
    torch.testing.assert_close(balanced_rewards(scores), torch.tensor([1.25, -1.5, 1.25, 1.25]))
    assert centred_rewards(torch.zeros(0), torch.zeros(0, dtype=torch.int64)).shape == (0,)


def test_backups_of_candidates() -> None:
    rewards, ended = torch.tensor([0.1, 0.2, 1.0]), torch.tensor([False, False, True])
    q = torch.tensor([[1.0, 3.0, 9.0], [2.0, -1.0, 9.0], [5.0, 5.0, 5.0]])
    present = torch.tensor([[True, True, False], [True, True, False], [False, False, False]])
    mean = candidate_backup(rewards, ended, q, present, gamma=0.5)
    torch.testing.assert_close(mean, torch.tensor([1.1, 0.45, 1.0]))
    best = candidate_backup(rewards, ended, q, present, gamma=0.5, how="max")
    torch.testing.assert_close(best, torch.tensor([1.6, 1.2, 1.0]))
    assert (candidate_backup(rewards, ended, q) <= candidate_backup(rewards, ended, q, how="max")).all()


def test_backups_that_cannot_be_are_named() -> None:
    rewards, ended, q = torch.zeros(2), torch.tensor([True, False]), torch.zeros(2, 3)
    with pytest.raises(TrainingError, match="transition 1 goes on in a state without candidates"):
        candidate_backup(rewards, ended, q, torch.zeros(2, 3))
    with pytest.raises(TrainingError, match="backup 'median' is unknown"):
        candidate_backup(rewards, ended, q, how="median")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TrainingError, match="rewards"):
        candidate_backup(torch.zeros(3), ended, q)


def test_the_constraint_pulls_to_the_nearest_action_and_values_are_rescaled() -> None:
    actions = torch.tensor([[0.0], [1.0]], requires_grad=True)
    near = torch.tensor([[0.5], [1.0]], requires_grad=True)
    q = 3.0 * actions.squeeze(1) - 1.0
    loss = prdc_loss(q, actions, near, alpha=2.0)
    assert loss.weight.item() == pytest.approx(2.0 / 1.5)
    assert loss.constraint.item() == pytest.approx(0.125)
    assert loss.total.item() == pytest.approx(-2.0 / 1.5 * 0.5 + 0.125)
    loss.total.backward()
    assert near.grad is None
    assert actions.grad is not None
    torch.testing.assert_close(actions.grad, torch.tensor([[-2.5], [-2.0]]))
