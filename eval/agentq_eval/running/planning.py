"""Deciders that look ahead in copies of the environment: beam search with a critic, and tree search.

They step the environment itself and put it back, so they know what an agent in the real world does not: a figure for
them is one with a simulator. A tree search by reward also reads the rewards of the future.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agentq.search.beam import BeamSearch, BeamSettings
from agentq.search.forest import Forest
from agentq.search.mcts import TreeSearch
from agentq.search.settings import SearchSettings
from agentq.search.tree import Recommendation
from agentq.search.worlds import EnvironmentWorld, State
from agentq.types import Candidate, Decision
from agentq_eval.running.deciders import View


@dataclass(frozen=True)
class BeamDecider:
    """Takes the first action of the best node of a beam; all episodes are planned for together."""

    forest: Forest
    settings: BeamSettings

    def decide(self, views: Sequence[View]) -> list[Decision]:
        """One decision per view; where no candidate is valid the first one's text is executed."""

        def begin(world: EnvironmentWorld, root: State, view: View) -> BeamSearch:
            return BeamSearch(world, root, str(view.seed), view.seed, self.settings)

        def chosen(search: BeamSearch, root: State) -> tuple[list[Candidate], list[float], int]:
            candidates, q = list(search.root.candidates), list(search.root.q)
            return candidates, q, candidates.index(search.choice) if candidates else 0

        return _decided(self.forest, views, begin, chosen, "beam")


@dataclass(frozen=True)
class TreeDecider:
    """Takes an action of a tree search from the present state (``Tree.recommended``); Q are the means of the tree.

    A tree that is exhausted early visits everything alike: ``by="value"`` then says more than visits.
    """

    forest: Forest
    settings: SearchSettings
    by: Recommendation = "visits"

    def decide(self, views: Sequence[View]) -> list[Decision]:
        """One decision per view; where no candidate is valid the episode goes on with an empty action."""

        def begin(world: EnvironmentWorld, root: State, view: View) -> TreeSearch:
            return TreeSearch(world, str(view.seed), view.seed, self.settings, root=root)

        def chosen(search: TreeSearch, root: State) -> tuple[list[Candidate], list[float], int]:
            children = search.tree.root.children
            candidates = [Candidate(node.text, node.action, count=node.count) for node in children]
            best = children.index(search.tree.recommended(self.by)) if children else 0
            return candidates, [node.value for node in children], best

        return _decided(self.forest, views, begin, chosen, "tree")


def _decided(
    forest: Forest,
    views: Sequence[View],
    begin: Callable[[EnvironmentWorld, State, View], Any],
    chosen: Callable[[Any, State], tuple[list[Candidate], list[float], int]],
    name: str,
) -> list[Decision]:
    """Plan for all views in one forest, put their environments back, and read the choices."""
    worlds = [EnvironmentWorld(view.env) for view in views]
    roots = [world.here(view.messages, view.admissible) for world, view in zip(worlds, views, strict=True)]
    searches = [begin(world, root, view) for world, root, view in zip(worlds, roots, views, strict=True)]
    for _ in forest.run(searches):
        pass
    decisions: list[Decision] = []
    for world, root, search in zip(worlds, roots, searches, strict=True):
        world.back_to(root)
        candidates, q, index = chosen(search, root)
        if not candidates:
            candidates, q = [Candidate("", None, "no candidate of the search is valid")], [-np.inf]
        certain = np.eye(1, len(candidates), index)[0]
        decisions.append(Decision(tuple(candidates), np.array(q), certain, index, selector=name))
    return decisions
