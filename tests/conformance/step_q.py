"""Step-level Q: selection scores, walks, back-up, whole searches, preference pairs, losses and read-outs.

Made by running the code of George-Chia/llm-agents-with-q and lapisrocks/LanguageAgentTreeSearch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentq.search.forest import Forest
from agentq.search.mcts import TreeSearch
from agentq.search.settings import SearchSettings
from agentq.search.tree import Node
from agentq.search.walk import backup, select, uct
from agentq.search.worlds import State
from agentq.types import Candidate, Messages
from tests.conformance.runner import Check, compare, each_row


def _settings(row: Mapping[str, Any], **options: Any) -> SearchSettings:
    return SearchSettings(variant=row["variant"], uct="official", **options)


def _nodes(records: Sequence[Mapping[str, Any]]) -> dict[int, Node]:
    nodes: dict[int, Node] = {}
    for record in records:
        parent = nodes[record["parent"]] if record["parent"] is not None else None
        node = Node(
            State(), parent, depth=record["depth"], visits=record["visits"], value=record["value"],
            reward=record["reward"], terminal=record["is_terminal"],
        )  # fmt: skip
        if parent is not None:
            parent.children.append(node)
        nodes[record["id"]] = node
    return nodes


def _uct(row: Any, data: Path) -> list[str]:
    parent = Node(State(), visits=row["parent_visits"])
    node = Node(State(), parent, visits=row["visits"], value=row["value"])
    return compare(uct(node, _settings(row)), row["uct"])


def _select(row: Any, data: Path) -> list[str]:
    nodes = _nodes(row["nodes"])
    numbers = {id(node): number for number, node in nodes.items()}
    found = select(nodes[0], _settings(row))
    children = {
        str(number): [numbers[id(child)] for child in node.children]
        for number, node in nodes.items()
        if node.children or str(number) in row["children_after"]
    }
    selected = None if found is None else numbers[id(found)]
    return compare([selected, children], [row["selected"], row["children_after"]])


def _backprop(row: Any, data: Path) -> list[str]:
    nodes = _nodes(row["nodes"])
    for number, value in row["ops"]:
        backup(nodes[number], value, _settings(row).rules)
    got = {str(number): {"visits": node.visits, "value": node.value} for number, node in nodes.items()}
    return compare(got, row["after"])


class _Scripted:
    """A world whose states are paths of action numbers, and the policy of the vectors."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.rewards: Mapping[str, float] = row["terminal_rewards"]
        self.choices: Mapping[str, int] = row["rollout_choice"]
        self.branching: int = row["branching"]

    def root(self, task: str, seed: int) -> State:
        return State(messages=({"role": "user", "content": ""},))

    def step(self, state: State, action: str) -> State:
        actions = (*state.actions, action)
        path = "-".join(actions)
        ended = path in self.rewards
        message = {"role": "user", "content": path}
        return State((message,), reward=self.rewards.get(path, 0.0), ended=ended, actions=actions)

    def propose(
        self,
        batch: Sequence[Messages],
        n: int,
        seeds: Sequence[int],
        admissible: Sequence[Sequence[str] | None] | None = None,
    ) -> list[list[Candidate]]:
        numbers = [range(n) if n > 1 else [self.choices.get(m[0]["content"], 0)] for m in batch]
        return [[Candidate(str(k), str(k)) for k in some] for some in numbers]


def _search(row: Any, data: Path) -> list[str]:
    world = _Scripted(row)
    settings = _settings(
        row,
        iterations=row["iterations"],
        width=row["branching"],
        max_depth=row["max_depth"],
        early_stop="disable_early_stop" not in row["flags"],
        rollout_early_stop="enable_rollout_early_stop" in row["flags"],
    )
    (search,) = Forest(world).run([TreeSearch(world, "", 0, settings)])
    tree = search.tree
    if row["status"] == "hang":  # the reference never ends; what matters here is that this line is reached
        return compare(tree.stopped, "exhausted")
    got = {
        "tree": [
            {
                "path": [int(action) for action in node.state.actions],
                "visits": node.visits,
                "value": node.value,
                "reward": node.reward,
                "terminal": node.terminal,
                "depth": node.depth,
            }
            for node in tree.root.preorder()
        ],
        "best_trajectory_index_list": tree.best_path(),
        "best_child_reward": tree.best_reward(),
        "best_reward_incl_rollouts": tree.best_reward(rollouts=True),
    }
    return compare(got, {name: row[name] for name in got})


CHECKS: dict[str, Check] = {
    "uct": each_row(_uct),
    "select": each_row(_select),
    "backprop": each_row(_backprop),
    "mcts_search": each_row(_search),
}
