"""TD, Monte Carlo, IQL, ICVF and CQL losses against hand-computed cases and finite differences."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from agentq.errors import TrainingError
from agentq.objectives.cfcql import cfcql_loss
from agentq.objectives.checks import check_finite, check_rank, check_shapes
from agentq.objectives.cql import cql_penalty
from agentq.objectives.digirl import keep_trajectories, step_critic_loss, step_weights
from agentq.objectives.icvf import icvf_loss
from agentq.objectives.iql import awr_policy_loss, awr_weights, expectile_loss, iql_loss
from agentq.objectives.monte_carlo import monte_carlo_loss
from agentq.objectives.pointwise import head_losses, head_values, two_class_logit
from agentq.objectives.td import one_step_target, td_loss, td_targets


def t(*values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def random(*shape: int, seed: int = 0, grad: bool = False) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_(grad)


REWARD, DONE = t(1.0, 0.0), t(1.0, 0.0)
NEXT_V = t([9.0, 2.0], [9.0, 4.0])
TARGET_Q = t([3.0, 5.0], [1.0, 7.0])


def test_one_step_target() -> None:
    assert one_step_target(REWARD, DONE, NEXT_V, 0.5).tolist() == [[1.0, 1.0], [1.0, 2.0]]


def test_td_targets_take_the_minimum_over_heads() -> None:
    y_q, y_v = td_targets(TARGET_Q, NEXT_V, REWARD, DONE, 0.5)
    assert (y_q.tolist(), y_v.tolist()) == ([1.0, 1.0], [1.0, 5.0])


def test_td_targets_of_own_head() -> None:
    y_q, y_v = td_targets(TARGET_Q, NEXT_V, REWARD, DONE, 0.5, "own")
    assert (y_q.tolist(), y_v.tolist()) == ([[1.0, 1.0], [1.0, 2.0]], TARGET_Q.tolist())


def test_td_loss_by_hand() -> None:
    q, v = torch.zeros(2, 2, dtype=torch.float64), torch.ones(2, 2, dtype=torch.float64)
    losses = td_loss(q, v, TARGET_Q, NEXT_V, REWARD, DONE, gamma=0.5)
    assert losses.q.tolist() == [1.0, 1.0]  # targets 1 and 1
    assert losses.v.tolist() == [8.0, 8.0]  # targets 1 and 5
    assert losses.total.item() == 18.0
    released = td_loss(q, v, TARGET_Q, NEXT_V, REWARD, DONE, gamma=0.5, compat="digi_q")
    assert released.q.tolist() == [1.0, 2.5]
    assert released.v.tolist() == [10.0, 18.0]


def test_td_classification_is_regression_on_probabilities() -> None:
    logits = random(2, 4)
    losses = td_loss(
        logits, logits, logits, logits, t(0, 0, 1, 1), t(0, 0, 1, 1), gamma=1.0, metric="classification"
    )
    y_v = torch.sigmoid(logits).amin(dim=0)
    p = torch.sigmoid(logits)
    expected = -(y_v * p.log() + (1 - y_v) * (1 - p).log()).mean(dim=1)
    torch.testing.assert_close(losses.v, expected)


def test_td_classification_clips_targets() -> None:
    high = torch.full((1, 2), 50.0, dtype=torch.float64)  # probability 1, so r + gamma V' = 1.9
    losses = td_loss(high, high, high, high, t(1, 1), t(0, 0), gamma=0.9, metric="classification")
    assert losses.q.item() == pytest.approx(0.0, abs=1e-12)


def test_td_targets_carry_no_gradient() -> None:
    q, v, backup_q, next_v = (random(2, 3, seed=i, grad=True) for i in range(4))
    td_loss(q, v, backup_q, next_v, t(1, 0, 0), t(0, 0, 1), gamma=0.9).total.backward()
    assert q.grad is not None
    assert v.grad is not None
    assert backup_q.grad is None
    assert next_v.grad is None


@pytest.mark.parametrize("name", ["q", "v", "backup_q", "target_next_v", "reward", "terminated"])
def test_td_refuses_a_trailing_dimension(name: str) -> None:
    tensors: dict[str, Any] = {n: random(2, 3) for n in ("q", "v", "backup_q", "target_next_v")}
    tensors |= {n: random(3) for n in ("reward", "terminated")}
    tensors[name] = tensors[name].unsqueeze(-1)
    with pytest.raises(TrainingError, match="shape"):
        td_loss(**tensors, gamma=0.9)


def test_own_bootstrap_needs_as_many_v_heads() -> None:
    with pytest.raises(TrainingError, match="target_next_v"):
        td_targets(random(2, 3), random(1, 3), random(3), random(3), 0.9, "own")


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(TrainingError, match="bootstrap 'max'"):
        td_targets(random(2, 3), random(2, 3), random(3), random(3), 0.9, "max")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TrainingError, match="metric 'mse'"):
        head_losses(random(2, 3), random(3), "mse")  # pyright: ignore[reportArgumentType]


def test_monte_carlo_by_hand() -> None:
    prediction, returns = t([0.0, 0.0], [1.0, 3.0]), t(1.0, 3.0)
    assert monte_carlo_loss(prediction, returns).tolist() == [5.0, 0.0]
    # Released: every head against every return, (1 + 9 + 1 + 9) / 4 and (0 + 4 + 4 + 0) / 4.
    assert monte_carlo_loss(prediction, returns, compat="digi_q").tolist() == [5.0, 2.0]


def test_monte_carlo_classification() -> None:
    logits = t([0.0, 0.0])
    assert monte_carlo_loss(logits, t(0.2, 0.0), metric="classification").item() == pytest.approx(math.log(2))
    soft = monte_carlo_loss(t([1.0]), t(0.25), metric="classification", binarise=False).item()
    p = 1 / (1 + math.exp(-1))
    assert soft == pytest.approx(-(0.25 * math.log(p) + 0.75 * math.log(1 - p)))
    with pytest.raises(TrainingError, match=r"\[0, 1\]"):
        monte_carlo_loss(t([1.0]), t(1.5), metric="classification", binarise=False)


def test_two_class_logit_is_the_softmax_margin() -> None:
    logits = random(5, 2)
    torch.testing.assert_close(
        head_values(two_class_logit(logits), "classification"), torch.softmax(logits, dim=1)[:, 1]
    )
    with pytest.raises(TrainingError, match="class logits"):
        two_class_logit(random(5, 3))


@pytest.mark.parametrize("metric", ["regression", "classification"])
def test_head_losses_gradients(metric: Any) -> None:
    target = torch.rand(3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: head_losses(x, target, metric), random(2, 3, grad=True))


def test_expectile_by_hand() -> None:
    assert expectile_loss(t(2.0, 0.0), t(0.0, 2.0), 0.9).item() == pytest.approx((0.9 * 4 + 0.1 * 4) / 2)
    per_head = expectile_loss(t(2.0), t([0.0], [3.0]), 0.9)
    torch.testing.assert_close(per_head, t(3.6, 0.1))


def test_expectile_of_one_half_is_half_the_squared_error() -> None:
    q, v = random(6), random(6, seed=1)
    torch.testing.assert_close(expectile_loss(q, v, 0.5), 0.5 * (q - v).square().mean())


def test_minimising_the_expectile_finds_the_expectile() -> None:
    q = t(0.0, 0.0, 0.0, 1.0)
    v = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    for _ in range(400):
        (gradient,) = torch.autograd.grad(expectile_loss(q, v.expand(4), 0.9), v)
        v.data -= 0.5 * gradient
    # 0.9 (1 - v) = 3 * 0.1 v
    assert v.item() == pytest.approx(0.75, abs=1e-6)


@pytest.mark.parametrize("expectile", [0.0, 1.0, -0.1])
def test_expectile_range(expectile: float) -> None:
    with pytest.raises(TrainingError, match="expectile"):
        expectile_loss(t(1.0), t(0.0), expectile)


def test_iql_never_looks_beyond_logged_actions() -> None:
    q, v = random(2, 3, grad=True), random(1, 3, seed=1, grad=True)
    target_q, next_v = random(2, 3, seed=2), random(1, 3, seed=3)
    reward, done = t(1, 0, 0), t(1, 0, 0)
    losses = iql_loss(q, v, target_q, next_v, reward, done, gamma=0.9, expectile=0.7)
    torch.testing.assert_close(losses.q, head_losses(q, reward + 0.9 * (1 - done) * next_v[0]))
    torch.testing.assert_close(losses.v, expectile_loss(target_q.amin(dim=0), v, 0.7))


def test_iql_classification_compares_probabilities() -> None:
    logits = random(2, 3)
    losses = iql_loss(
        logits, logits, logits, logits, t(0, 0, 0), t(1, 1, 1), gamma=0.9, metric="classification"
    )
    p = torch.sigmoid(logits)
    torch.testing.assert_close(losses.q, -(1 - p).log().mean(dim=1))
    torch.testing.assert_close(losses.v, expectile_loss(p.amin(dim=0), p, 0.8))


def test_awr() -> None:
    weight = awr_weights(t(0.0, 1.0, 1e6), t(0.0, 0.0, 0.0), temperature=3.0)
    torch.testing.assert_close(weight, t(1.0, math.exp(3), 100.0))
    assert awr_policy_loss(t(-1.0, -2.0), t(1.0, 3.0)).item() == 3.5


def test_icvf_by_hand() -> None:
    zero, one = torch.zeros(2, 1, dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64)
    arguments: dict[str, Any] = {
        "reward": t(-1.0),
        "mask": t(1.0),
        "intent_reward": t(-1.0),
        "intent_mask": t(1.0),
    }
    # y = -1 + 0.5, A = -1 + 0.5 * 1 - 0 < 0, so each head costs 0.1 * 0.25
    loss = icvf_loss(zero, one, one, zero, **arguments, gamma=0.5)
    assert loss.item() == pytest.approx(2 * 0.1 * 0.25)
    flat = icvf_loss(zero, one, one, zero, **arguments, gamma=0.5, intention=False)
    assert flat.item() == pytest.approx(2 * 0.9 * 0.25)


def test_icvf_pessimism_uses_the_lower_head() -> None:
    zero, uneven = torch.zeros(2, 1, dtype=torch.float64), t([0.0], [3.0])
    arguments: dict[str, Any] = {
        "reward": t(0.5),
        "mask": t(0.0),
        "intent_reward": t(-1.0),
        "intent_mask": t(1.0),
    }
    assert icvf_loss(zero, zero, uneven, zero, **arguments, gamma=1.0).item() == pytest.approx(0.05)
    mean = icvf_loss(zero, zero, uneven, zero, **arguments, gamma=1.0, pessimistic=False)
    assert mean.item() == pytest.approx(0.45)


def test_cql_by_hand() -> None:
    candidates, logged = t([1.0, 2.0], [0.0, 5.0]), t(0.0, 0.0)
    mask = torch.tensor([[True, True], [True, False]])
    first = math.log(math.e + math.e**2 + 1) - math.log(3)
    second = math.log(2) - math.log(2)
    assert cql_penalty(candidates, logged, mask).item() == pytest.approx((first + second) / 2)
    plain = cql_penalty(candidates, logged, mask, subtract_log_count=False, include_logged=False)
    assert plain.item() == pytest.approx((math.log(math.e + math.e**2) + 0.0) / 2)


def test_cql_does_not_grow_with_the_number_of_equal_candidates() -> None:
    few, many = torch.zeros(3, 2), torch.zeros(3, 64)
    logged = torch.zeros(3)
    assert cql_penalty(few, logged).item() == pytest.approx(0.0, abs=1e-6)
    assert cql_penalty(many, logged).item() == pytest.approx(0.0, abs=1e-6)


def test_cql_ignores_masked_candidates_and_states_without_any() -> None:
    candidates, logged = random(2, 3, grad=True), random(2, seed=1, grad=True)
    mask = torch.tensor([[True, False, True], [False, False, False]])
    for include in (True, False):
        penalty = cql_penalty(candidates, logged, mask, include_logged=include)
        alone = cql_penalty(candidates[:1, ::2], logged[:1], include_logged=include)
        torch.testing.assert_close(penalty, alone)
        gradient, logged_gradient = torch.autograd.grad(penalty, (candidates, logged))
        assert torch.isfinite(gradient).all()
        assert gradient[~mask].abs().max() == 0
        assert logged_gradient[1] == 0


def test_cql_without_any_candidate_is_zero() -> None:
    penalty = cql_penalty(random(2, 3), random(2), torch.zeros(2, 3, dtype=torch.bool))
    assert penalty.item() == 0.0


def test_cql_averages_heads() -> None:
    candidates, logged = random(2, 4, 3), random(2, 4, seed=1)
    both = cql_penalty(candidates, logged)
    each = [cql_penalty(candidates[k], logged[k]) for k in range(2)]
    torch.testing.assert_close(both, (each[0] + each[1]) / 2)


def test_cql_floor_stops_pushing_below_the_return() -> None:
    candidates = random(2, 3, grad=True)
    (gradient,) = torch.autograd.grad(
        cql_penalty(candidates, t(0.0, 0.0), floor=t(100.0, -100.0)), candidates
    )
    assert gradient[0].abs().max() == 0
    assert gradient[1].abs().min() > 0


def test_cql_gradient() -> None:
    mask = torch.tensor([[True, True, False], [True, True, True]])
    assert torch.autograd.gradcheck(
        lambda c, q: cql_penalty(c, q, mask, temperature=0.7),
        (random(2, 3, grad=True), random(2, seed=1, grad=True)),
    )


def test_cql_refuses() -> None:
    with pytest.raises(TrainingError, match="temperature"):
        cql_penalty(random(2, 3), random(2), temperature=0.0)
    with pytest.raises(TrainingError, match="q_logged"):
        cql_penalty(random(2, 3), random(2, 1))


def _cfcql(q: Tensor, target: Tensor, behaviour: Tensor | None = None, **settings: Any) -> Any:
    batch, steps, factors, _ = q.shape
    actions = torch.zeros(batch, steps, factors, dtype=torch.long)
    zeros = torch.zeros(batch, steps, dtype=q.dtype)
    ones = torch.ones(batch, steps, dtype=q.dtype)
    settings = {"gamma": 1.0, "td_lambda": 0.0, **settings}
    return cfcql_loss(
        q, target, torch.ones_like(q), actions, zeros, zeros, ones, behaviour=behaviour, **settings
    )


def test_cfcql_of_one_factor_is_the_cql_penalty() -> None:
    q = random(1, 4, 1, 3)
    penalty = cql_penalty(q[0, :-1, 0], q[0, :-1, 0, 0], subtract_log_count=False, include_logged=False)
    torch.testing.assert_close(_cfcql(q, q).penalty, penalty)


def test_cfcql_replaces_one_factor_at_a_time() -> None:
    q = t([[[[1.0, 2.0], [10.0, 20.0]], [[0.0, 0.0], [0.0, 0.0]]]])[0]
    first, second = math.log(math.e**11 + math.e**12), math.log(math.e**11 + math.e**21)
    assert _cfcql(q, q).negative.item() == pytest.approx((first + second) / 2)


def test_cfcql_weighs_the_factor_that_strays_from_the_behaviour() -> None:
    q = t([[[[0.0, 0.0], [0.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]]])[0]
    behaviour = torch.full_like(q, 0.5)
    straying = math.log(1 + math.exp(4))
    assert _cfcql(q, q, behaviour, temperature=100.0).negative.item() == pytest.approx(straying)
    equal = _cfcql(q, q, behaviour, temperature=0.0).negative.item()
    assert equal == pytest.approx((straying + math.log(2)) / 2)


def test_digirl_weights_and_filter() -> None:
    v, next_v = t([0.0, 0.0], [0.0, 0.0]), t([0.0, 5.0], [1.0, 5.0])
    assert step_weights(v, next_v, t(0, 0), t(0, 0)).tolist() == [0.0, 1.0]
    assert step_weights(v, next_v, t(0, 0), t(0.06, 0)).tolist() == [1.0, 1.0]
    returns = torch.arange(10.0)
    assert keep_trajectories(returns).tolist() == [False] * 9 + [True]
    assert keep_trajectories(returns, returns.flip(0) * 3)[9].item() is True
    assert keep_trajectories(returns, returns * 2)[0].item() is True
    with pytest.raises(TrainingError, match="quantile"):
        keep_trajectories(returns, quantile=1.5)


def test_digirl_loss_counts_both_states() -> None:
    v, next_v, returns = random(2, 3), random(2, 3, seed=1), t(1.0, 0.0, 0.5)
    losses = step_critic_loss(v, next_v, returns)
    torch.testing.assert_close(losses.current, monte_carlo_loss(v, returns, metric="classification"))
    torch.testing.assert_close(losses.total, losses.current.sum() + losses.following.sum())


def test_check_finite_names_tensor_and_place() -> None:
    features = torch.zeros(3, 4)
    check_finite("features", features)
    features[1, 2] = math.nan
    features[2, 0] = math.inf
    with pytest.raises(TrainingError, match=r"features of shape \(3, 4\) has 2 entries.*nan at \[1, 2\]"):
        check_finite("features", features)
    with pytest.raises(TrainingError, match="loss"):
        check_finite("loss", torch.tensor(math.nan))


def test_shape_checks() -> None:
    check_shapes((3,), a=random(3), b=random(3))
    with pytest.raises(TrainingError, match=r"b has shape \(3, 1\), expected \(3,\)"):
        check_shapes((3,), a=random(3), b=random(3, 1))
    with pytest.raises(TrainingError, match=r"expected \(heads, rows\)"):
        check_rank(2, "(heads, rows)", q=random(3))
