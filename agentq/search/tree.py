"""A search tree: nodes with visit counts and running means, and what is read out of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from agentq.search.worlds import State

Recommendation: TypeAlias = Literal["visits", "value", "reward"]


@dataclass(slots=True, eq=False)
class Node:
    """A state reached by an action, with the statistics of the simulations that went through it.

    ``value`` is the running mean of what was backed up; before the first visit it is the initial value. Nodes
    of rollouts know their parent but are not among its children.
    """

    state: State
    parent: Node | None = None
    action: str | None = None  # what was done in the parent's state; None at the root and for invalid replies
    text: str = ""  # the whole reply as sampled, thoughts included
    visits: int = 0
    value: float = 0.0
    reward: float = 0.0
    terminal: bool = False
    q: float | None = None  # the critic's value of the action
    prior: float = 0.0  # of the action among its siblings, for PUCT
    count: int = 1  # how many samples were this action
    children: list[Node] = field(default_factory=list["Node"])
    pending: int = 0  # simulations under way through this node (virtual loss)
    claimed: bool = False  # a simulation under way is expanding it
    closed: bool = False  # nothing below can be searched any more
    name: str = "0"  # place in the tree, which seeds what is sampled here
    depth: int = 0  # actions from the root

    @property
    def success(self) -> bool:
        """Whether the task ended here with the full reward."""
        return self.terminal and self.reward == 1

    def ancestors(self) -> Iterator[Node]:
        """This node, its parent, and so on to the root."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent

    def path(self) -> list[Node]:
        """From the root to this node, both included."""
        return list(self.ancestors())[::-1]

    def preorder(self) -> Iterator[Node]:
        """This node and everything below, parents before children, children in order."""
        waiting: list[Node] = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children))


@dataclass(slots=True)
class Tree:
    """The search of one task."""

    task: str
    seed: int
    root: Node
    rollouts: list[Node] = field(default_factory=list[Node])  # end nodes of simulations
    iterations: int = 0
    stopped: str = ""  # why the search ended: success, iterations, exhausted
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])

    def best(self) -> Node:
        """The tree node with the largest reward, the first in pre-order on ties; nodes of rollouts do not count."""
        return max(self.root.preorder(), key=lambda node: node.reward)

    def best_reward(self, rollouts: bool = False) -> float:
        """The largest reward in the tree, on request also of its rollouts."""
        ends = [node.reward for end in self.rollouts for node in end.ancestors()] if rollouts else []
        return max([self.best().reward, *ends])

    def best_path(self) -> list[int]:
        """Child indices from the root to ``best()``; empty where no node has a positive reward."""
        best = self.best()
        if best.reward <= 0:
            return []
        indices: list[int] = []
        for node in best.ancestors():
            if node.parent is not None:
                indices.append(node.parent.children.index(node))
        return indices[::-1]

    def recommended(self, by: Recommendation = "visits") -> Node:
        """The child of the root to take: most visits, largest mean value, or (with an oracle) best reward below."""

        def key(node: Node) -> tuple[float, ...]:
            if by == "reward":
                return max(below.reward for below in node.preorder()), node.value
            seen = float(node.visits > 0)
            return (seen, node.visits, node.value) if by == "visits" else (seen, node.value, node.visits)

        return max(self.root.children, key=key)
