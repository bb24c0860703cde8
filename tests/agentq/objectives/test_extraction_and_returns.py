"""Best-of-N extraction, returns, labels, ranking, aggregation and target copies."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from agentq.errors import TrainingError
from agentq.objectives.aggregation import aggregate, agreement, soft_low_weights
from agentq.objectives.best_of_n import (
    candidate_order,
    clipped_token_logprobs,
    extract,
    extraction_weights,
    weighted_likelihood_loss,
)
from agentq.objectives.polyak import polyak_update, target_copy
from agentq.objectives.ranking import (
    advantage_loss,
    candidate_advantages,
    listwise_ranking_loss,
    pairwise_ranking_loss,
)
from agentq.objectives.returns import discounted_returns, n_step_returns, stack_frames, td_lambda_returns
from agentq.objectives.screen_change import screen_changed, screen_difference

NAN = math.nan


def t(*values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def random(*shape: int, seed: int = 0, grad: bool = False) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_(grad)


# ---------------------------------------------------------------- best of n


def test_extraction_is_pessimistic_and_skips_invalid() -> None:
    q = t([[0.9, 0.5, 0.6]], [[0.1, 0.4, 0.8]])  # (2, 1, 3)
    v = t([0.2], [0.3])
    picked = extract(q, v, torch.tensor([[True, True, True]]))
    assert (picked.chosen.item(), picked.weight.item()) == (2, 1.0)
    assert picked.advantage.item() == pytest.approx(0.4)
    without = extract(q, v, torch.tensor([[True, True, False]]))
    assert (without.chosen.item(), without.advantage.item()) == (1, pytest.approx(0.2))
    released = extract(q, v, torch.tensor([[True, True, True]]), compat="digi_q")
    assert (released.chosen.item(), released.advantage.item()) == (0, pytest.approx(0.6))


def test_released_extraction_prefers_invalid_to_worse() -> None:
    q, v = t([[0.1, 0.9]]), t([0.5])
    valid = torch.tensor([[True, False]])
    assert extract(q, v, valid, rule="sft", compat="digi_q").chosen.item() == 1
    assert extract(q, v, valid, rule="sft").chosen.item() == 0


@pytest.mark.parametrize("rule", ["best-of-n", "pg", "awr", "sft"])
def test_states_without_a_valid_candidate_weigh_nothing(rule: Any) -> None:
    picked = extract(random(2, 1, 3), random(2, 1), torch.zeros(1, 3, dtype=torch.bool), rule=rule)
    assert (picked.chosen.item(), picked.weight.item()) == (-1, 0.0)


def test_first_candidate_wins_ties() -> None:
    picked = extract(torch.ones(2, 1, 5), torch.zeros(2, 1), torch.ones(1, 5))
    assert picked.chosen.item() == 0


def test_extraction_weights() -> None:
    advantage = t(0.0, 0.1, 0.2)
    options: dict[str, float] = {"threshold": 0.1, "beta": 0.1, "multiplier": 5.0}
    assert extraction_weights(advantage, "best-of-n", **options).tolist() == [0.0, 0.0, 1.0]
    torch.testing.assert_close(extraction_weights(advantage, "pg", **options), 5 * advantage)
    torch.testing.assert_close(extraction_weights(advantage, "awr", **options), (10 * advantage).exp())
    assert extraction_weights(advantage, "sft", **options).tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(TrainingError, match="rule 'ppo'"):
        extraction_weights(advantage, "ppo", **options)  # pyright: ignore[reportArgumentType]


def test_awr_weight_is_bounded_by_default_and_overflows_in_the_released_form() -> None:
    q, v, valid = torch.ones(2, 1, 1), torch.zeros(2, 1), torch.ones(1, 1)
    assert extract(q, v, valid, rule="awr").weight.item() == pytest.approx(100.0)
    assert extract(q, v, valid, rule="awr", compat="digi_q").weight.item() == math.inf


def test_clipped_token_logprobs() -> None:
    logits = torch.zeros(1, 3, 2)
    logits[0, 1, 0], logits[0, 2, 0] = 50.0, -50.0
    labels, mask = torch.tensor([[0, 0, -100]]), torch.tensor([[1, 1, 0]])
    got = clipped_token_logprobs(logits, labels, mask)
    torch.testing.assert_close(got, torch.tensor([[math.log(0.5), math.log(0.99), 0.0]]))
    low = clipped_token_logprobs(logits, torch.zeros(1, 3, dtype=torch.long), torch.ones(1, 3))
    assert low[0, 2].item() == pytest.approx(math.log(0.001))


def test_no_gradient_where_clipped() -> None:
    logits = torch.tensor([[[0.0, 0.0], [50.0, 0.0]]], requires_grad=True)
    labels = torch.zeros(1, 2, dtype=torch.long)
    clipped_token_logprobs(logits, labels, torch.ones(1, 2)).sum().backward()
    assert logits.grad is not None
    assert logits.grad[0, 0].abs().min() > 0
    assert logits.grad[0, 1].abs().max() == 0


def test_weighted_likelihood() -> None:
    assert weighted_likelihood_loss(t([-1.0, -2.0], [-3.0, 0.0]), t(1.0, 0.5)).item() == pytest.approx(2.25)


def test_candidate_order_keeps_all_candidates() -> None:
    generator = torch.Generator().manual_seed(0)
    orders = [candidate_order(4, 4, generator).tolist() for _ in range(50)]
    assert all(sorted(order) == [0, 1, 2, 3] and order[0] == 0 for order in orders)
    assert {tuple(order[1:]) for order in orders} > {(1, 2, 3), (3, 2, 1)}
    released = [candidate_order(4, 4, generator, compat="digi_q").tolist() for _ in range(50)]
    assert any(len(set(order)) == 3 for order in released)
    with pytest.raises(TrainingError, match="cannot draw 5 of 4"):
        candidate_order(4, 5, generator)


# ---------------------------------------------------------------- returns and labels


def test_discounted_returns() -> None:
    assert discounted_returns(t(0.0, 0.0, 1.0), 0.5).tolist() == [0.25, 0.5, 1.0]
    both = discounted_returns(t([1.0, 1.0], [0.0, 2.0]), 0.5)
    assert both.tolist() == [[1.5, 1.0], [1.0, 2.0]]
    assert discounted_returns(torch.zeros(0), 0.5).shape == (0,)


def test_n_step_returns() -> None:
    rewards, values = t(1.0, 1.0, 1.0), t(9.0, 10.0, 20.0, 0.0)
    assert n_step_returns(rewards, values, gamma=0.5, steps=1).tolist() == [6.0, 11.0, 1.0]
    assert n_step_returns(rewards, values, gamma=0.5, steps=2).tolist() == [6.5, 1.5, 1.0]
    whole = n_step_returns(rewards, values, gamma=0.5, steps=9)
    torch.testing.assert_close(whole, discounted_returns(rewards, 0.5))
    with pytest.raises(TrainingError, match="steps is 0"):
        n_step_returns(rewards, values, gamma=0.5, steps=0)


def test_td_lambda_ends() -> None:
    rewards, values = random(2, 4), random(2, 5, seed=1)
    done = torch.zeros(2, 4, dtype=torch.float64)
    one_step = td_lambda_returns(rewards, done, values, gamma=0.9, td_lambda=0.0)
    torch.testing.assert_close(one_step, rewards + 0.9 * values[:, 1:])
    monte_carlo = td_lambda_returns(rewards, done, values, gamma=0.9, td_lambda=1.0)
    bootstrapped = torch.cat([rewards[:, :-1], rewards[:, -1:] + 0.9 * values[:, -1:]], dim=1)
    torch.testing.assert_close(monte_carlo, discounted_returns(bootstrapped, 0.9))


def test_td_lambda_mixes_n_step_returns() -> None:
    rewards, values, lam = random(1, 3), random(1, 4, seed=1), 0.7
    got = td_lambda_returns(rewards, torch.zeros_like(rewards), values, gamma=0.9, td_lambda=lam)
    n = [n_step_returns(rewards, values, gamma=0.9, steps=k)[0, 0] for k in (1, 2, 3)]
    torch.testing.assert_close(got[0, 0], (1 - lam) * (n[0] + lam * n[1]) + lam**2 * n[2])


def test_stack_frames() -> None:
    stacked, following = stack_frames(t([1.0], [2.0]), t(3.0))
    assert stacked.tolist() == [[1.0, 1.0], [1.0, 2.0]]
    assert following.tolist() == [[1.0, 2.0], [2.0, 3.0]]


def test_screen_change_threshold_is_strict() -> None:
    before = torch.zeros(2, 2, 3, dtype=torch.uint8)
    after = before.clone()
    after[0, 0, 0] = 255
    assert screen_difference(before, after) == pytest.approx(255**2 / 12)
    assert screen_changed(before, after)
    assert not screen_changed(before, after, threshold=255**2 / 12)
    with pytest.raises(TrainingError, match="after has shape"):
        screen_changed(before, after[:1])


# ---------------------------------------------------------------- ranking


def test_pairwise_by_hand() -> None:
    q, labels = t([1.0, 0.0, 5.0]), t([1.0, 0.0, NAN])
    assert pairwise_ranking_loss(q, labels).item() == pytest.approx(math.log(1 + math.exp(-1)))
    swapped = pairwise_ranking_loss(q, t([0.0, 1.0, NAN]))
    assert swapped.item() == pytest.approx(math.log(1 + math.exp(1)))


def test_pairwise_averages_states_and_weighs_gaps() -> None:
    q = t([0.0, 0.0, 0.0], [3.0, 0.0, 0.0])
    labels = t([1.0, 0.5, 0.0], [1.0, 0.0, NAN])
    expected = (math.log(2) + math.log(1 + math.exp(-3))) / 2
    assert pairwise_ranking_loss(q, labels).item() == pytest.approx(expected)
    uneven = pairwise_ranking_loss(t([1.0, 0.0, 0.0]), t([1.0, 0.1, 0.0]), weigh_by_gap=True)
    pairs = (0.9 + 1.0) * math.log(1 + math.exp(-1)) + 0.1 * math.log(2)
    assert uneven.item() == pytest.approx(pairs / 2.0)


def test_listwise_by_hand() -> None:
    loss = listwise_ranking_loss(t([1.0, 0.0, 9.0]), t([2.0, 0.0, NAN]))
    p = 1 / (1 + math.exp(-2))
    log_q = [-math.log(1 + math.exp(-1)), -math.log(1 + math.exp(1))]
    assert loss.item() == pytest.approx(-(p * log_q[0] + (1 - p) * log_q[1]))


def test_advantage_ignores_the_level_of_the_state() -> None:
    labels = t([1.0, 0.0], [7.0, 3.0])
    assert advantage_loss(labels + t([100.0], [-5.0]), labels).item() == pytest.approx(0.0)
    assert advantage_loss(t([2.0, 0.0]), t([1.0, 0.0])).item() == pytest.approx(0.25)


LOSSES: list[Any] = [pairwise_ranking_loss, listwise_ranking_loss, advantage_loss]


@pytest.mark.parametrize("loss", LOSSES)
def test_ranking_ignores_masked_unlabelled_and_single(loss: Any) -> None:
    q = random(3, 3, grad=True)
    labels = t([1.0, 0.0, 0.5], [1.0, NAN, NAN], [0.2, 0.1, 0.9])
    mask = torch.tensor([[True, True, False], [True, True, True], [False, False, False]])
    value = loss(q, labels, mask)
    torch.testing.assert_close(value, loss(q[:1, :2], labels[:1, :2]))
    (gradient,) = torch.autograd.grad(value, q)
    assert torch.isfinite(gradient).all()
    assert gradient[0, 2] == 0
    assert gradient[1:].abs().max() == 0


@pytest.mark.parametrize("loss", LOSSES)
def test_ranking_without_contrast_is_zero(loss: Any) -> None:
    q = random(2, 3, grad=True)
    value = loss(q, torch.full((2, 3), NAN, dtype=torch.float64))
    assert value.item() == 0.0
    value.backward()
    assert q.grad is not None
    assert q.grad.abs().max() == 0


@pytest.mark.parametrize("loss", LOSSES)
def test_ranking_survives_minus_infinity_of_invalid_candidates(loss: Any) -> None:
    q = t([1.0, 0.0, -math.inf]).requires_grad_()
    value = loss(q, t([1.0, 0.0, NAN]))
    value.backward()
    assert math.isfinite(value.item())
    assert q.grad is not None
    assert torch.isfinite(q.grad).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_ranking_gradients_and_heads(loss: Any) -> None:
    labels = t([1.0, 0.0, 0.5], [0.3, 0.9, NAN])
    assert torch.autograd.gradcheck(lambda q: loss(q, labels), random(2, 2, 3, grad=True))
    q = random(2, 2, 3)
    torch.testing.assert_close(loss(q, labels), (loss(q[0], labels) + loss(q[1], labels)) / 2)
    with pytest.raises(TrainingError, match="labels"):
        loss(q, labels[:, :2])


def test_candidate_advantages() -> None:
    mask = torch.tensor([[True, True, False]])
    assert candidate_advantages(t([3.0, 1.0, 50.0]), mask).tolist() == [[1.0, -1.0, 0.0]]


# ---------------------------------------------------------------- aggregation


def test_aggregations() -> None:
    values = t([1.0, 4.0], [3.0, 0.0])
    assert aggregate(values).tolist() == [1.0, 0.0]
    assert aggregate(values, "mean").tolist() == [2.0, 2.0]
    assert aggregate(values, "mean_std", pessimism=0.5).tolist() == [1.5, 1.0]
    with pytest.raises(TrainingError, match="aggregation 'max'"):
        aggregate(values, "max")  # pyright: ignore[reportArgumentType]


def test_soft_low_follows_the_formula() -> None:
    phi = (1 + 5**0.5) / 2
    raw = [math.exp(-((abs(1 - phi / 2 - i / 6) * phi) ** (2 * math.e))) for i in range(6)]
    torch.testing.assert_close(soft_low_weights(6), t(*[w / sum(raw) for w in raw]))
    values = random(6, 3)
    ascending = values.sort(dim=0).values
    expected = sum(w / sum(raw) * ascending[i] for i, w in enumerate(raw))
    torch.testing.assert_close(aggregate(values, "soft_low"), expected)


def test_soft_low_is_flat_below_and_near_zero_at_the_top() -> None:
    weights = soft_low_weights(100)
    peak = weights.max()
    assert weights[:40].min() > 0.9 * peak
    assert weights[-1] < 0.02 * peak
    assert weights.sum().item() == pytest.approx(1.0)
    with pytest.raises(TrainingError, match="0 heads"):
        soft_low_weights(0)


@pytest.mark.parametrize("how", ["min", "mean", "mean_std", "soft_low"])
def test_aggregation_of_one_head_order_and_infinity(how: Any) -> None:
    one = random(1, 5)
    torch.testing.assert_close(aggregate(one, how), one[0])
    many = random(5, 4)
    torch.testing.assert_close(aggregate(many, how), aggregate(many.flip(0), how))
    many[:, 2] = -math.inf
    many[1, 3] = -math.inf
    assert torch.isneginf(aggregate(many, how)).tolist() == [False, False, True, True]
    assert (aggregate(many, how)[:2] <= many[:, :2].amax(dim=0)).all()


def test_pessimism_restores_growth_with_n_under_heavy_tails() -> None:
    """Best-of-N on heads with heavy-tailed errors: one head worsens from 16 to 64, the minimum not."""
    generator = torch.Generator().manual_seed(0)
    trials, n = 4000, 64
    true = torch.randn(trials, n, generator=generator)
    normal = torch.randn(2, trials, n, generator=generator)
    chi = torch.randn(2, 2, trials, n, generator=generator).square().sum(dim=0)
    heads = true + normal / (chi / 2).sqrt()  # Student t, 2 degrees of freedom

    def chosen_value(q: Tensor) -> float:
        return true[:, : q.shape[1]].gather(1, q.argmax(dim=1, keepdim=True)).mean().item()

    assert chosen_value(heads[0]) == pytest.approx(0.48, abs=0.08)
    assert chosen_value(heads[0][:, :16]) == pytest.approx(0.68, abs=0.08)
    assert chosen_value(aggregate(heads[:, :, :16])) == pytest.approx(1.20, abs=0.08)
    assert chosen_value(aggregate(heads)) == pytest.approx(1.46, abs=0.08)


def test_mean_std_gradient_is_finite_where_heads_agree() -> None:
    values = torch.ones(3, 2, dtype=torch.float64, requires_grad=True)
    aggregate(values, "mean_std").sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad, torch.full_like(values, 1 / 3))


def test_agreement() -> None:
    values = t([1.0, 5.0], [3.0, 5.0])
    assert agreement(values).item() == 0.5
    assert agreement(values, torch.tensor([True, False])).item() == 1.0


# ---------------------------------------------------------------- target copies


def test_polyak_equals_the_loop() -> None:
    online, target = nn.Linear(3, 2), nn.Linear(3, 2)
    expected = [0.9 * p + 0.1 * o for p, o in zip(target.parameters(), online.parameters(), strict=True)]
    polyak_update(target, online, 0.1)
    for got, want in zip(target.parameters(), expected, strict=True):
        torch.testing.assert_close(got, want)


def test_polyak_copies_buffers_and_checks() -> None:
    online, target = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    online(torch.randn(8, 2))
    polyak_update(target, online, 0.0)
    assert target.running_mean is not None
    torch.testing.assert_close(target.running_mean, online.running_mean)
    with pytest.raises(TrainingError, match="tau"):
        polyak_update(target, online, 1.5)
    with pytest.raises(TrainingError, match="target_copy"):
        polyak_update(nn.Linear(3, 2), nn.Linear(2, 2), 0.1)


def test_target_copy_starts_equal_and_apart() -> None:
    online = nn.Linear(3, 2)
    target = target_copy(online)
    torch.testing.assert_close(target.weight, online.weight)
    assert not any(p.requires_grad for p in target.parameters())
    with torch.no_grad():
        online.weight.add_(1)
    assert not torch.equal(target.weight, online.weight)
