"""Worlds over environments: snapshots and replays lead to the same states."""

from __future__ import annotations

from typing import Any

import pytest

from agentq.errors import ConfigError
from agentq.search.forest import Forest
from agentq.search.mcts import TreeSearch
from agentq.search.settings import SearchSettings
from agentq.search.worlds import EnvironmentWorld
from tests.agentq.search.toy_world import DrawingPolicy, content


class Counter:
    """A Gymnasium-like environment: add one or two, the task ends at five or more with a reward for exactly five."""

    def __init__(self, drift: bool = False) -> None:
        self.total = 0
        self.resets = 0
        self.drift = drift

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        self.total = self.resets if self.drift else 0
        self.resets += 1
        return str(self.total), self._info()

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        self.total += int(action)
        done = self.total >= 5
        return str(self.total), float(self.total == 5), done, False, self._info()

    def _info(self) -> dict[str, Any]:
        return {"admissible_actions": ["1", "2"], "success": self.total == 5}


class Copyable(Counter):
    def snapshot(self) -> int:
        return self.total

    def restore(self, snapshot: int) -> None:
        self.total = snapshot


@pytest.mark.parametrize("make", [Counter, Copyable])
def test_states_are_reached_in_any_order(make: type[Counter]) -> None:
    world = EnvironmentWorld(make())
    root = world.root("t", 0)
    one, two = world.step(root, "1"), world.step(root, "2")
    assert (one.observation, two.observation) == ("1", "2")
    assert world.step(one, "2").observation == "3"
    end = world.step(world.step(two, "2"), "1")
    assert (end.observation, end.reward, end.ended, end.actions) == ("5", 1.0, True, ("2", "2", "1"))
    assert end.admissible is None
    assert end.info == {"success": True}


def test_without_messages_the_observation_is_the_prompt() -> None:
    assert EnvironmentWorld(Counter()).root("t", 0).messages == ({"role": "user", "content": "0"},)


def test_both_kinds_search_the_same_tree() -> None:
    trees = []
    for env in (Counter(), Copyable()):
        world = EnvironmentWorld(env)
        search = TreeSearch(world, "t", 0, SearchSettings(iterations=25, early_stop=False))
        list(Forest(DrawingPolicy()).run([search]))
        trees.append(content(search.tree))
    assert trees[0] == trees[1]
    assert len(trees[0]) > 5


def test_snapshots_do_not_reset() -> None:
    env = Copyable()
    search = TreeSearch(EnvironmentWorld(env), "t", 0, SearchSettings(iterations=25))
    list(Forest(DrawingPolicy()).run([search]))
    assert env.resets == 1


def test_many_trees_share_one_environment() -> None:
    world = EnvironmentWorld(Counter())
    searches = [TreeSearch(world, f"t{i}", 0, SearchSettings(iterations=15)) for i in range(4)]
    list(Forest(DrawingPolicy()).run(searches))
    alone = TreeSearch(EnvironmentWorld(Counter()), "t3", 0, SearchSettings(iterations=15))
    list(Forest(DrawingPolicy()).run([alone]))
    assert content(searches[3].tree) == content(alone.tree)


def test_an_environment_that_drifts_is_refused_on_replay() -> None:
    world = EnvironmentWorld(Counter(drift=True))
    root = world.root("t", 0)
    world.step(root, "1")
    with pytest.raises(ConfigError, match="another observation"):
        world.step(root, "2")


def test_snapshots_cannot_be_demanded_of_an_environment_without() -> None:
    with pytest.raises(ConfigError, match="snapshot"):
        EnvironmentWorld(Counter(), replay=False)
    assert EnvironmentWorld(Copyable(), replay=True).root("t", 0).handle[2] is None
