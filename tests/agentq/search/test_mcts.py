"""Tree search: it finds what there is, it ends, and together equals alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agentq.errors import ConfigError
from agentq.search.forest import Forest
from agentq.search.mcts import TreeSearch, priors
from agentq.search.settings import VARIANTS, SearchSettings, Variant
from agentq.search.tree import Node, Tree
from agentq.search.walk import backup, uct
from agentq.search.worlds import State
from agentq.types import Candidate
from tests.agentq.search.toy_world import AllActions, DrawingPolicy, PathWorld, TableCritic, content

TARGET = (2, 0, 1)


def needle(path: tuple[int, ...]) -> float | None:
    """Full reward at one path of depth 3, partial ones by how much of it was right."""
    if len(path) < 3:
        return None
    return sum(a == b for a, b in zip(path, TARGET, strict=True)) / 3


def barren(path: tuple[int, ...]) -> float | None:
    return 0.0 if len(path) == 2 else None


def searched(settings: SearchSettings, reward=needle, tasks: int = 1, critic=None, **options) -> list[Tree]:
    world, policy = PathWorld(reward), AllActions()
    forest = Forest(policy, critic, **options)
    searches = [TreeSearch(world, f"t{i}", 0, settings) for i in range(tasks)]
    trees = {id(search): search.tree for search in forest.run(searches)}
    return [trees[id(search)] for search in searches]


@pytest.mark.parametrize("variant", list(VARIANTS))
@pytest.mark.parametrize("uct_kind", ["official", "textbook"])
def test_finds_the_reward(variant: Variant, uct_kind) -> None:
    critic = TableCritic(lambda text, action: 0.5)
    (tree,) = searched(SearchSettings(variant, uct_kind, iterations=200, max_depth=4), critic=critic)
    assert tree.stopped == "success"
    assert tree.best_reward(rollouts=True) == 1.0


@pytest.mark.parametrize("variant", list(VARIANTS))
@pytest.mark.parametrize("uct_kind", ["official", "textbook"])
@pytest.mark.parametrize("max_depth", [1, 2, 5])
def test_ends_where_everything_is_tried(variant: Variant, uct_kind, max_depth: int) -> None:
    critic = TableCritic(lambda text, action: 0.5)
    settings = SearchSettings(variant, uct_kind, iterations=500, max_depth=max_depth)
    (tree,) = searched(settings, barren, critic=critic)
    assert tree.stopped in ("exhausted", "iterations")
    assert tree.best_reward() <= 0


def test_textbook_stops_early_when_nothing_is_left() -> None:
    (tree,) = searched(SearchSettings(iterations=10_000, width=9), barren)
    assert tree.stopped == "exhausted"
    assert tree.iterations < 20
    assert tree.root.closed


def test_a_root_that_has_ended_is_searched_without_a_request() -> None:
    (tree,) = searched(SearchSettings(), lambda path: 0.3)
    assert (tree.iterations, tree.stopped) == (0, "exhausted")


def test_early_stop_can_be_switched_off() -> None:
    solved, whole = (searched(SearchSettings(iterations=60, early_stop=s))[0] for s in (True, False))
    assert solved.stopped == "success"
    assert whole.stopped == "exhausted"
    assert whole.iterations > solved.iterations


@pytest.mark.parametrize("in_flight", [1, 3])
def test_searching_together_equals_searching_alone(in_flight: int) -> None:
    settings = SearchSettings(iterations=20, in_flight=in_flight, early_stop=False)
    together = searched(settings, tasks=7)
    for trees, batch in ((1, 64), (7, 2), (3, 5)):
        assert [content(t) for t in searched(settings, tasks=7, trees=trees, batch=batch)] == [
            content(t) for t in together
        ]


def test_one_policy_call_serves_all_trees() -> None:
    world, policy = PathWorld(needle), DrawingPolicy()
    forest = Forest(policy, trees=16)
    list(forest.run(TreeSearch(world, f"t{i}", 0, SearchSettings(iterations=10)) for i in range(16)))
    assert policy.largest == 16
    assert forest.statistics.policy_calls == policy.calls
    assert forest.statistics.proposals > 4 * policy.calls


def test_virtual_loss_spreads_simulations_and_leaves_no_trace() -> None:
    world, policy = PathWorld(needle), DrawingPolicy()
    search = TreeSearch(world, "t", 0, SearchSettings(iterations=40, in_flight=8, width=9, early_stop=False))
    list(Forest(policy).run([search]))
    assert policy.largest >= 3
    assert all(node.pending == 0 and not node.claimed for node in search.tree.root.preorder())
    visits = [node.visits for node in search.tree.root.children]
    assert sum(visits) <= search.tree.root.visits


def test_a_visited_state_is_not_stepped_again() -> None:
    world = PathWorld(needle)
    search = TreeSearch(world, "t", 0, SearchSettings(iterations=100, early_stop=False))
    list(Forest(DrawingPolicy()).run([search]))
    assert world.steps <= 3 + 9 + 27


@pytest.mark.parametrize(("guide", "iterations"), [("puct", 3), ("uct", 40)])
def test_a_critic_guides(guide, iterations: int) -> None:
    """With priors that know the way, three simulations suffice; the critic stands in for the rest of the episode."""

    def knows(text: str, action: str) -> float:
        depth = len(text.split()) - 1
        return float(int(action) == TARGET[depth])

    critic = TableCritic(knows)
    settings = SearchSettings(
        guide=guide, values="critic", evaluation="critic", iterations=iterations, exploration=0.1
    )
    (tree,) = searched(settings, critic=critic)
    assert tree.best_reward() == 1.0
    assert [node.action for node in tree.best().path()[1:]] == ["2", "0", "1"]
    assert critic.calls <= iterations


def test_a_missing_critic_is_named() -> None:
    with pytest.raises(ConfigError, match="no critic"):
        searched(SearchSettings(guide="puct"))


def test_lats_values_are_relative_to_the_best_sibling() -> None:
    critic = TableCritic(lambda text, action: {"0": 0.2, "1": 0.4, "2": 0.8}[action])
    (tree,) = searched(SearchSettings("lats_webshop", iterations=1, width=9), barren, critic=critic)
    assert {node.q for node in tree.root.children} <= {0.2, 0.4, 0.8}
    unvisited = [node for node in tree.root.children if not node.visits]
    assert unvisited
    assert all(node.value == pytest.approx((node.q or 0) / 0.8) for node in unvisited)


class Mixed(AllActions):
    """One reply that does not parse among valid ones."""

    def _draw(self, n, seed, actions):
        return [Candidate("what?", None, "no action"), *super()._draw(n, seed, actions)]


def test_invalid_replies_are_left_out_or_kept_with_their_penalty() -> None:
    for keep in (False, True):
        search = TreeSearch(PathWorld(needle), "t", 0, SearchSettings(iterations=1, keep_invalid=keep))
        list(Forest(Mixed()).run([search]))
        invalid = [node for node in search.tree.root.children if node.action is None]
        assert len(invalid) == keep
        assert all((node.reward, node.value, node.terminal) == (-1.0, -1.0, False) for node in invalid)


class Refusing(PathWorld):
    def step(self, state: State, action: str) -> State:
        return replace(super().step(state, action), legal=action != "0")


def test_a_refused_action_counts_as_invalid() -> None:
    search = TreeSearch(Refusing(needle), "t", 0, SearchSettings(iterations=1))
    list(Forest(AllActions()).run([search]))
    assert [node.reward for node in search.tree.root.children] == [-1.0, 0.0, 0.0]


def test_scores() -> None:
    parent = Node(State(), visits=10)
    node = Node(State(), parent, visits=4, value=0.5, prior=0.25)
    c = SearchSettings().exploration
    assert uct(node, SearchSettings()) == pytest.approx(0.5 + c * (np.log(10) / 4) ** 0.5)
    assert uct(node, SearchSettings(uct="official")) == pytest.approx(0.5 / 4 + (2 * np.log(10) / 4) ** 0.5)
    assert uct(node, SearchSettings(guide="puct")) == pytest.approx(0.5 + c * 0.25 * 10**0.5 / 5)
    node.pending = 4  # simulations under way count as visits without reward
    assert uct(node, SearchSettings(exploration=0.0)) == pytest.approx(0.25)


def test_priors_are_a_distribution_over_usable_siblings() -> None:
    found = priors(np.array([1.0, -np.inf, 3.0, 2.0]), 1.0)
    assert found.sum() == pytest.approx(1.0)
    assert found[1] == 0
    assert found[2] > found[3] > found[0]
    np.testing.assert_allclose(priors(np.full(3, -np.inf), 1.0), 1 / 3)
    np.testing.assert_allclose(priors(np.array([5.0, 5.0]), 1.0), 0.5)


def test_backup_is_a_running_mean_that_forgets_the_initial_value() -> None:
    root = Node(State())
    child = Node(State(), root, value=0.9)
    for value in (0.0, 1.0, 0.5):
        backup(child, value, VARIANTS["stepq_webshop"])
    assert (child.visits, child.value, root.value) == (3, pytest.approx(0.5), pytest.approx(0.5))


@pytest.mark.parametrize(
    "options",
    [
        {"iterations": 0}, {"width": 0}, {"in_flight": 0}, {"exploration": -1}, {"variant": "x"}, {"uct": "x"},
        {"prior_temperature": 0}, {"uct": "official", "in_flight": 2},
    ],
)  # fmt: skip
def test_impossible_settings_are_refused(options) -> None:
    with pytest.raises(ConfigError):
        SearchSettings(**options)
