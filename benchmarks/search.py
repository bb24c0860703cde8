"""Tree search on WebShop with a policy that takes 20 ms a call and answers up to 64 states in one.

    python benchmarks/search.py [--json] [--tasks 64] [--iterations 8]

The policy is a stub: it sleeps, and draws admissible actions. Compared are the forest, 64 trees at a time, with one
simulation per tree under way and with eight (virtual loss), and the same search tree by tree with one call per
expansion and per step of a simulation. All three are run in this process one after the other; environment steps count.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agentq.search.forest import Forest, ForestStatistics
from agentq.search.mcts import TreeSearch
from agentq.search.settings import SearchSettings
from agentq.search.tree import Tree
from agentq.search.worlds import EnvironmentWorld
from agentq.types import Candidate, Messages
from agentq_envs.webshop.env import WebShopEnv
from agentq_eval.reports.figures import Figure, print_figures

LATENCY = 0.020  # seconds a call
FREE = 64  # states that one call answers
TARGET = 20.0  # times faster


class SleepingPolicy:
    """Draws admissible actions, and searches for words of the goal, after sleeping."""

    def propose(
        self,
        batch: Sequence[Messages],
        n: int,
        seeds: Sequence[int],
        admissible: Sequence[Sequence[str] | None] | None = None,
    ) -> list[list[Candidate]]:
        """As in ``Policy.propose``."""
        time.sleep(LATENCY * math.ceil(len(batch) / FREE))
        allowed = admissible if admissible is not None else [None] * len(batch)
        return [self._draw(m, n, s, a) for m, s, a in zip(batch, seeds, allowed, strict=True)]

    def _draw(self, messages: Messages, n: int, seed: int, actions: Sequence[str] | None) -> list[Candidate]:
        rng = np.random.default_rng(seed)
        goal = str(messages[-1]["content"]).splitlines()[0].split()
        free = [f"search[{' '.join(goal[i : i + 4])}]" for i in range(1, max(len(goal) - 4, 2))]
        fixed = [action for action in actions or () if not action.startswith("search")]
        choices = free if len(fixed) < 2 else fixed
        drawn = [choices[int(i)] for i in rng.integers(len(choices), size=n)]
        return [Candidate(action, action, count=drawn.count(action)) for action in dict.fromkeys(drawn)]


def searched(
    env: WebShopEnv, tasks: Sequence[str], settings: SearchSettings, trees: int
) -> tuple[float, list[Tree], ForestStatistics]:
    """Seconds, trees and calls of a collection."""
    world = EnvironmentWorld(env)
    forest = Forest(SleepingPolicy(), trees=trees)
    began = time.perf_counter()
    found = [search.tree for search in forest.run(TreeSearch(world, task, 0, settings) for task in tasks)]
    return time.perf_counter() - began, found, forest.statistics


def same(first: Sequence[Tree], second: Sequence[Tree]) -> bool:
    """Whether two collections have the same trees, in any order."""

    def content(trees: Sequence[Tree]) -> dict[str, list[tuple[str, int, float]]]:
        return {t.task: [(n.name, n.visits, n.value) for n in t.root.preorder()] for t in trees}

    return content(first) == content(second)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Speed of tree search across tasks.")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--tasks", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=8)
    options = parser.parse_args()
    env = WebShopEnv()
    tasks = env.server.task_ids[: options.tasks]
    settings = SearchSettings(iterations=options.iterations, max_depth=15)
    searched(env, tasks[:2], settings, 2)  # fills the shop's caches of pages and searches

    together, forest, calls = searched(env, tasks, settings, 64)
    flying, _, flying_calls = searched(env, tasks, replace(settings, in_flight=8), 64)
    alone, one_by_one, single_calls = searched(env, tasks, settings, 1)
    assert same(forest, one_by_one), "searching together changed a tree"
    what = f"{len(tasks)} tasks, {options.iterations} iterations, {LATENCY * 1000:.0f} ms a call, {FREE} states free"
    per_call = calls.proposals / calls.policy_calls
    figures = [
        Figure(
            "search_forest_speedup",
            alone / together,
            TARGET,
            "higher",
            f"{what}; one tree at a time {alone:.1f} s",
        ),
        Figure(
            "search_in_flight_speedup",
            alone / flying,
            TARGET,
            "higher",
            "eight simulations of a tree at a time",
        ),
        Figure(
            "search_forest_seconds",
            together,
            None,
            "lower",
            f"{calls.policy_calls} calls of {per_call:.1f} states",
        ),
        Figure("search_in_flight_seconds", flying, None, "lower", f"{flying_calls.policy_calls} calls"),
        Figure(
            "search_single_calls", single_calls.policy_calls, None, "lower", "one tree at a time, same trees"
        ),
    ]
    print_figures(figures, options.json)


if __name__ == "__main__":
    main()
