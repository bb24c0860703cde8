"""Deciders that look ahead in copies of the environment: beam search with a critic, and tree search.

They step the environment itself and put it back, so they know what an agent in the real world does not: a figure for
them is one with a simulator. A tree search by reward also reads the rewards of the future.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np

from agentq.config import load_config
from agentq.critics.base import Critic
from agentq.errors import ConfigError
from agentq.policies.base import Policy
from agentq.search.beam import BeamSearch, BeamSettings
from agentq.search.forest import Forest
from agentq.search.mcts import TreeSearch
from agentq.search.settings import SearchSettings
from agentq.search.tree import Node, Recommendation, Tree
from agentq.search.worlds import EnvironmentWorld, State
from agentq.types import Candidate, Decision, Messages
from agentq_eval.episodes import TREE_SEARCH
from agentq_eval.running.deciders import Decider, View

Plan = Literal["episode", "once", "step"]


def search_decider(policy: Policy, critic: Critic | None, n: int, options: Mapping[str, Any]) -> Decider:
    """The decider of an arm ``selector: tree_search`` with ``n`` samples per expansion.

    ``options``: fields of ``SearchSettings``; ``plan``, "episode" (default: follow the best trajectory met, and search
    again as long as none had a reward), "once" (follow the best one also then) or "step" (search at every step);
    ``by``, what is recommended by. Raises ``ConfigError`` for others.
    """
    plan, by = options.get("plan", "episode"), options.get("by", "visits")
    if plan not in get_args(Plan) or by not in get_args(Recommendation):
        raise ConfigError(
            f"tree_search with plan={plan!r}, by={by!r}: expected plan {', '.join(get_args(Plan))}, and by "
            f"{', '.join(get_args(Recommendation))}."
        )
    fields = {name: value for name, value in options.items() if name not in ("plan", "by")}
    settings = load_config(SearchSettings, {**fields, "width": n})
    if settings.uses_critic and critic is None:
        raise ConfigError("this tree_search values by a critic, and the arm has none. Set `critic: true`.")
    forest = Forest(policy, critic)
    if plan == "step":
        return TreeDecider(forest, settings, by)
    return EpisodePlanDecider(forest, settings, by, once=plan == "once")


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

        def chosen(search: TreeSearch, root: State) -> tuple[list[Candidate], list[float], int]:
            children = search.tree.root.children
            candidates = [Candidate(node.text, node.action, count=node.count) for node in children]
            return candidates, [node.value for node in children], _recommended(search.tree, self.by)

        return _decided(self.forest, views, partial(_tree_search, self.settings), chosen, TREE_SEARCH)


@dataclass
class EpisodePlanDecider:
    """Follows the best trajectory that a tree search from the present state has met, as LATS does with a task.

    The environment must be deterministic. Where the search has met no reward it takes one recommended action and
    searches again from the state behind it; with ``once`` it follows the longest trajectory instead, so that a task is
    searched once, as published, as far as ``max_depth`` reaches.
    """

    forest: Forest
    settings: SearchSettings
    by: Recommendation = "visits"
    once: bool = False
    _plans: dict[int, dict[str, list[tuple[str, float]]]] = field(
        default_factory=dict[int, dict[str, list[tuple[str, float]]]]
    )  # of each environment: state -> actions to take there, the next one last, and their values

    def decide(self, views: Sequence[View]) -> list[Decision]:
        """One decision per view, from its plan where it has one."""
        steps = [_next(self._plans.get(id(view.env), {}), view.messages) for view in views]
        searched = iter(
            self._searched([view for view, step in zip(views, steps, strict=True) if step is None])
        )
        return [
            next(searched)
            if step is None
            else _certain([Candidate(step[0], step[0])], [step[1]], 0, TREE_SEARCH)
            for step in steps
        ]

    def _searched(self, views: Sequence[View]) -> list[Decision]:
        environments = iter(views)

        def chosen(search: TreeSearch, root: State) -> tuple[list[Candidate], list[float], int]:
            children = search.tree.root.children
            candidates = [Candidate(node.text, node.action, count=node.count) for node in children]
            plan = self._plan(best_trajectory(search.tree, rewarded=not self.once))
            first, _ = _next(plan, root.messages) or (None, 0.0)
            self._plans[id(next(environments).env)] = plan
            if first is None:
                return candidates, [node.value for node in children], _recommended(search.tree, self.by)
            if first not in [node.action for node in children]:  # met by a simulation that came by here again
                return (
                    [*candidates, Candidate(first, first)],
                    [*(n.value for n in children), 0.0],
                    len(candidates),
                )
            index = [node.action for node in children].index(first)
            return candidates, [node.value for node in children], index

        return _decided(self.forest, views, partial(_tree_search, self.settings), chosen, TREE_SEARCH)

    def _plan(self, path: Sequence[Node]) -> dict[str, list[tuple[str, float]]]:
        """What to do in each state of a path. Loops are left out where a reward waits at its end.

        Elsewhere they are walked, too: without them steps would be left, and these would be searched again.
        """
        plan: dict[str, list[tuple[str, float]]] = {}
        kept = not path or path[-1].reward <= 0
        for node, child in reversed(list(pairwise(path))):
            actions = plan.setdefault(_key(node.state.messages), [])
            if child.action is not None and (kept or not actions):
                actions.append((child.action, child.value))
        return plan


def _next(plan: dict[str, list[tuple[str, float]]], messages: Messages) -> tuple[str, float] | None:
    """The planned action of a state, taken off the plan."""
    actions = plan.get(_key(messages))
    return actions.pop() if actions else None


def _recommended(tree: Tree, by: Recommendation) -> int:
    return tree.root.children.index(tree.recommended(by)) if tree.root.children else 0


def best_trajectory(tree: Tree, rewarded: bool = True) -> list[Node]:
    """From the root to the node of the largest positive reward, those of simulations included.

    Without one: empty, or not ``rewarded``, to the deepest.
    """
    met = [*tree.root.preorder(), *tree.rollouts]
    ends = [node for node in met if node.terminal and node.reward > 0]
    if ends:
        return max(ends, key=lambda node: (node.reward, -node.depth)).path()
    return [] if rewarded else max(met, key=lambda node: node.depth).path()


def _tree_search(settings: SearchSettings, world: EnvironmentWorld, root: State, view: View) -> TreeSearch:
    return TreeSearch(world, str(view.seed), view.seed, settings, root=root)


def _key(messages: Messages) -> str:
    return json.dumps(messages, sort_keys=True)


def _certain(candidates: list[Candidate], q: list[float], index: int, name: str) -> Decision:
    certain = np.eye(1, len(candidates), index)[0]
    return Decision(tuple(candidates), np.array(q), certain, index, selector=name)


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
    for _ in forest.run(searches, on_round=views[0].alive if views else None):
        pass
    decisions: list[Decision] = []
    for world, root, search in zip(worlds, roots, searches, strict=True):
        world.back_to(root)
        candidates, q, index = chosen(search, root)
        if not candidates:
            candidates, q = [Candidate("", None, "no candidate of the search is valid")], [-np.inf]
        decisions.append(_certain(candidates, q, index, name))
    return decisions
