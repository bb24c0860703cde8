"""What values under uniform choice promise, and where the promise ends (docs/rover.md)."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
import torch

from agentq.objectives.candidate_trees import (
    Tree,
    best_value,
    greedy_value,
    softmax_bound,
    softmax_value,
    states,
    uniform_value,
)
from agentq.objectives.rover import back_up, largest_temperature, posterior_mean


def drawn(rng: random.Random, depth: int, rewards: list[Fraction]) -> Tree:
    """A random tree; branches may end early."""
    if depth == 0 or rng.random() < 0.15:
        return rng.choice(rewards)
    return [drawn(rng, depth - 1, rewards) for _ in range(rng.randint(1, 4))]


def leaf(*rewards: float) -> list[Tree]:
    """A state whose actions all end."""
    return [Fraction(str(reward)) for reward in rewards]


BINARY = [Fraction(0), Fraction(0), Fraction(0), Fraction(1)]


@pytest.fixture(scope="module")
def binary_trees() -> list[Tree]:
    rng = random.Random(0)
    return [[drawn(rng, 4, BINARY) for _ in range(rng.randint(2, 4))] for _ in range(80)]


def test_greedy_is_optimal_with_binary_rewards(binary_trees: list[Tree]) -> None:
    reachable = 0
    for tree in binary_trees:
        assert greedy_value(tree) == best_value(tree)
        reachable += best_value(tree) == 1
        for state in states(tree):
            assert set(state.greedy) <= set(state.optimal)
            assert [value > 0 for value in state.uniform] == [value == 1 for value in state.best]
    assert 20 < reachable < 80


@pytest.mark.parametrize("rho", [1.0, 0.1, 0.01])
def test_softmax_keeps_its_bound_and_approaches_greedy(binary_trees: list[Tree], rho: float) -> None:
    for tree in binary_trees:
        value = softmax_value(tree, rho)
        assert softmax_bound(tree, rho) <= value + 1e-12
        assert value <= float(best_value(tree)) + 1e-12
    assert softmax_value(binary_trees[0], 1e-4) == pytest.approx(float(best_value(binary_trees[0])))


def test_backups_lie_between_mean_and_max(binary_trees: list[Tree]) -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.rand(50, 5, generator=generator, dtype=torch.float64)
    valid = torch.rand(50, 5, generator=generator) < 0.7
    valid[:, 0] = True
    mean, best = back_up(q, valid, "mean"), back_up(q, valid, "max")
    for temperature in (10.0, 0.1, 0.01):
        between = back_up(q, valid, "softmax", temperature=temperature)
        assert bool(((mean - 1e-9 <= between) & (between <= best + 1e-9)).all())
    assert torch.allclose(back_up(q, valid, "softmax", temperature=1e6), mean, atol=1e-5)
    assert torch.allclose(back_up(q, valid, "softmax", temperature=1e-6), best)
    uniform = torch.full_like(q, 0.2)
    assert torch.allclose(back_up(q, valid, "expected", policy=uniform), mean)


def test_graded_rewards_mislead_it_and_a_threshold_helps() -> None:
    tree: Tree = [leaf(0.5, 0.5), leaf(1, 0, 0)]
    assert (greedy_value(tree), best_value(tree)) == (Fraction(1, 2), 1)
    assert greedy_value(tree, best_value) == 1

    def binarised(node: Tree) -> Tree:
        return Fraction(int(node >= 1)) if isinstance(node, Fraction) else [binarised(t) for t in node]

    assert greedy_value(binarised(tree)) == 1
    rng = random.Random(1)
    graded = [Fraction(k, 4) for k in (0, 1, 2, 4)]
    trees = [
        [[[rng.choice(graded) for _ in range(3)] for _ in range(3)] for _ in range(3)] for _ in range(500)
    ]
    regrets = [float(best_value(tree) - greedy_value(tree)) for tree in trees]
    assert 0.005 < sum(regret > 0 for regret in regrets) / len(trees) < 0.5


def test_rewards_of_two_values_need_only_a_shift() -> None:
    costly: Tree = [leaf(-1, -1), leaf(-3, -3, -1)]
    assert greedy_value(costly) == best_value(costly) == -1
    # With step costs it goes wrong: the long way to success looks worse than giving up cheaply.
    priced: Tree = [leaf(-1), leaf(0, -9)]
    assert (greedy_value(priced), best_value(priced)) == (-1, 0)


def test_chance_is_not_choice() -> None:
    safe = 0.6  # succeeds with this chance, nothing left to choose
    later = torch.tensor([1.0, 0.0, 0.0, 0.0])
    everyone = torch.ones(4, dtype=torch.bool)
    assert float(back_up(later, everyone, "mean")) == 0.25 < safe
    assert float(back_up(later, everyone, "max")) == 1.0 > safe


def test_resampled_candidates_break_the_fixed_sets() -> None:
    """n = 2 fresh samples: A is one step with success chance 0.3 per sample, B four steps with 0.72 each."""
    mean_a, mean_b = 0.3, 0.72**4
    best_of_two_a, best_of_two_b = 1 - 0.7**2, (1 - 0.28**2) ** 4
    assert (mean_a, mean_b) == pytest.approx((0.30, 0.2687), abs=1e-4)
    assert (best_of_two_a, best_of_two_b) == pytest.approx((0.51, 0.7214), abs=1e-4)
    assert mean_a > mean_b
    assert best_of_two_a < best_of_two_b


def test_the_signal_shrinks_with_depth_and_rollouts_miss_it() -> None:
    tree: Tree = Fraction(1)
    for _ in range(7):
        tree = [tree, *leaf(0, 0, 0, 0)]
    assert uniform_value(tree) == Fraction(1, 5**7)
    assert float(uniform_value(tree)) == pytest.approx(1.28e-5)
    assert best_value(tree) == 1
    value, rollouts = 0.05, 20
    generator = torch.Generator().manual_seed(0)
    successes = (torch.rand(20_000, rollouts, generator=generator) < value).sum(dim=1)
    assert float((successes == 0).float().mean()) == pytest.approx((1 - value) ** rollouts, abs=0.01)
    assert float(posterior_mean(successes.double(), torch.full_like(successes, rollouts).double()).min()) > 0


def test_an_error_larger_than_the_smallest_value_is_enough_to_go_wrong() -> None:
    tree: Tree = [[leaf(1, 0, 0), leaf(0, 0, 0)], [leaf(0, 0, 0), leaf(0, 0, 0)]]
    q = [float(value) for value in next(states(tree)).uniform]
    assert q == pytest.approx([1 / 6, 0.0])
    noisy = [q[0] - 0.1, q[1] + 0.1]
    assert max(range(2), key=lambda i: noisy[i]) == 1
    assert max(range(2), key=lambda i: [q[0] - 0.08, q[1] + 0.08][i]) == 0


def test_an_aliased_cycle_is_as_good_as_the_end() -> None:
    """Page -> details -> (back to the page | buy): the fixed point of the mean backup values both the same."""
    page = details = 0.0
    for _ in range(200):
        page, details = details, float(back_up(torch.tensor([page, 1.0], dtype=torch.float64), torch.ones(2)))
    q_back, q_buy = page, 1.0
    assert q_back == pytest.approx(q_buy)  # greedy may go back for ever


def test_the_largest_temperature_keeps_its_promise() -> None:
    for value, candidates, failure in ((1.0, 5, 0.05), (1 / 16, 4, 0.01), (0.3, 2, 0.3)):
        rho = largest_temperature(value, candidates, failure)
        tree: Tree = [[Fraction(str(value))], *([[Fraction(0)]] * (candidates - 1))]
        assert softmax_value(tree, rho) == pytest.approx(value * (1 - failure))
    assert largest_temperature(1.0, 5, 0.05) == pytest.approx(0.231, abs=1e-3)
