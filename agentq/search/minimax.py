"""Depth-limited minimax: own moves and replies in turn, the value of a move is that of the reply that hurts most.

The plain search that "PokeChamp: an Expert-level Minimax Language Agent" (arXiv 2503.04094) describes; its
"optimised" code takes the maximum over replies and is none. For worlds that answer back: negotiation, a user whose
answer is uncertain, tools that fail.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from agentq.agent import decision_seed
from agentq.errors import ConfigError, CriticError
from agentq.search.requests import Evaluate, Propose, Request, Search
from agentq.search.worlds import State, World
from agentq.types import Candidate, FloatArray

Reply = Literal["min", "mean", "soft", "max"]


@dataclass(frozen=True, slots=True)
class MinimaxSettings:
    """How far to look and how replies count. Raises ``ConfigError`` for impossible values."""

    depth: int = 1  # own moves looked ahead, each with its replies
    samples: int = 5  # own candidates per state
    replies: int = 5  # of the other side per move
    #: min: the worst; mean: as likely as they were proposed; soft: between both; max: as the released code.
    reply: Reply = "min"
    eta: float = 1.0  # of soft: log(sum p exp(-eta v)) / -eta
    least_likely: float = 0.05  # replies proposed more rarely do not count, unless all are
    gamma: float = 1.0  # per own move

    def __post_init__(self) -> None:
        if min(self.depth, self.samples, self.replies) < 1 or self.eta <= 0 or not 0 <= self.gamma <= 1:
            raise ConfigError(
                f"depth={self.depth}, samples={self.samples}, replies={self.replies}, eta={self.eta}, "
                f"gamma={self.gamma}: expected at least 1 each, eta above 0 and a discount in [0, 1]."
            )
        if self.reply not in ("min", "mean", "soft", "max"):
            raise ConfigError(f"reply={self.reply!r}: expected 'min', 'mean', 'soft' or 'max'.")


@dataclass(slots=True)
class MinimaxNode:
    """A state in the look-ahead, after an own move or after a reply."""

    state: State
    candidate: Candidate | None = None  # what led here
    probability: float = 1.0  # of a reply among its siblings
    children: list[MinimaxNode] = field(default_factory=list["MinimaxNode"])
    value: float = 0.0  # of what follows, the reward on the way here included
    name: str = "0"


class MinimaxSearch:
    """The look-ahead of one state; after ``run`` ``root.children`` are the own moves with their values.

    Replies are proposed by the forest's ``opponent``. States at the depth limit are worth max_a Q, or with
    ``leaves="reward"`` nothing beyond their rewards (then no critic is asked).
    """

    def __init__(
        self,
        world: World,
        state: State,
        name: str,
        seed: int,
        settings: MinimaxSettings | None = None,
        *,
        leaves: Literal["critic", "reward"] = "critic",
    ) -> None:
        self.world, self.name, self.seed = world, name, seed
        self.settings = settings or MinimaxSettings()
        self.leaves = leaves
        self.root = MinimaxNode(state)

    @property
    def best(self) -> MinimaxNode:
        """The own move of the largest value, the first on ties. Raises ``CriticError`` where there is none."""
        if not self.root.children:
            raise CriticError(
                f"{self.name}: no candidate is valid, so nothing can be planned. Sample more, or hotter."
            )
        return max(self.root.children, key=lambda node: node.value)

    @property
    def choice(self) -> Candidate:
        """What to do now."""
        assert self.best.candidate is not None
        return self.best.candidate

    def run(self) -> Search:
        """Grow the tree ply by ply, all states of a ply together, then back the values up."""
        frontier = [self.root]
        for _ in range(self.settings.depth):
            for opponent in (False, True):
                frontier = yield from self._ply(frontier, opponent)
        if self.leaves == "critic":
            yield from self._leaf_values(frontier)
        self._back_up(self.root, own=True)

    def _ply(self, nodes: Sequence[MinimaxNode], opponent: bool) -> Any:
        """One move of one side in every state that goes on; the states it leads to."""
        live = [node for node in nodes if not node.state.ended]
        if not live:
            return []
        n = self.settings.replies if opponent else self.settings.samples
        answers: list[list[Candidate]] = yield [self._propose(node, n, opponent) for node in live]
        for node, candidates in zip(live, answers, strict=True):
            valid = [candidate for candidate in candidates if candidate.valid]
            total = sum(candidate.count for candidate in valid)
            for number, candidate in enumerate(valid):
                state = self.world.step(node.state, str(candidate.action))
                share = candidate.count / total
                node.children.append(MinimaxNode(state, candidate, share, name=f"{node.name}.{number}"))
        return [child for node in live for child in node.children]

    def _leaf_values(self, nodes: Sequence[MinimaxNode]) -> Search:
        live = [node for node in nodes if not node.state.ended]
        if not live:
            return
        answers: list[list[Candidate]] = yield [
            self._propose(node, self.settings.samples, False) for node in live
        ]
        able = [
            (node, valid)
            for node, some in zip(live, answers, strict=True)
            if (valid := [candidate for candidate in some if candidate.valid])
        ]
        asked: list[Request] = [Evaluate(node.state, valid) for node, valid in able]
        values: Any = (yield asked) if asked else []
        for (node, _), q in zip(able, values, strict=True):
            node.value = float(np.max(q))

    def _propose(self, node: MinimaxNode, n: int, opponent: bool) -> Propose:
        return Propose(
            node.state, n, decision_seed(f"{self.name}|{node.name}", self.seed, int(opponent)), opponent
        )

    def _back_up(self, node: MinimaxNode, own: bool) -> float:
        """The value of a state with the reward that led there, from the leaves upwards."""
        if node.children:
            values = np.array([self._back_up(child, not own) for child in node.children])
            following = float(values.max()) if own else self._over_replies(node.children, values)
            node.value = (self.settings.gamma if own and node is not self.root else 1.0) * following
        node.value += node.state.reward if node is not self.root else 0.0
        return node.value

    def _over_replies(self, replies: Sequence[MinimaxNode], values: FloatArray) -> float:
        shares = np.array([reply.probability for reply in replies])
        counted = shares >= self.settings.least_likely
        if not counted.any():
            counted[:] = True
        values, shares = values[counted], shares[counted] / shares[counted].sum()
        if self.settings.reply == "mean":
            return float(shares @ values)
        if self.settings.reply == "soft":
            eta, lowest = self.settings.eta, float(values.min())
            return lowest - math.log(float(shares @ np.exp(-eta * (values - lowest)))) / eta
        return float(values.max() if self.settings.reply == "max" else values.min())
