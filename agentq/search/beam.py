"""Beam search over actions with a critic: look some steps ahead, then take the first of them.

"JOWA: Scaling Offline Model-Based RL via Jointly-Optimized World-Action Model Pretraining" (arXiv 2410.00564),
section on planning at inference. A node at depth d scores

    sum_{i<d} gamma^i r_i + gamma^d max_a Q(s_d, a)

and the best ``width`` nodes are kept at every depth. The released code ignores the end of an episode; here a node
that ended is worth its rewards alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from agentq.agent import decision_seed
from agentq.errors import ConfigError, CriticError
from agentq.search.requests import Evaluate, Propose, Request, Search
from agentq.search.worlds import State, World
from agentq.types import Candidate, FloatArray


@dataclass(frozen=True, slots=True)
class BeamSettings:
    """How far and how wide to look. Raises ``ConfigError`` for impossible values."""

    width: int = 3  # K: nodes kept, and actions tried of each
    depth: int = 2  # H: steps looked ahead; 0 is the greedy choice by Q
    samples: int = 8  # candidates that the policy proposes per node
    gamma: float = 0.98  # per step

    def __post_init__(self) -> None:
        if self.width < 1 or self.samples < 1 or self.depth < 0 or not 0 <= self.gamma <= 1:
            raise ConfigError(
                f"width={self.width}, samples={self.samples}, depth={self.depth}, gamma={self.gamma}: expected at "
                "least 1, 1, 0, and a discount in [0, 1]."
            )


@dataclass(slots=True)
class BeamNode:
    """A state some steps ahead."""

    state: State
    path: tuple[Candidate, ...] = ()
    collected: float = 0.0  # discounted rewards on the way
    score: float = 0.0
    candidates: tuple[Candidate, ...] = ()  # valid ones, best first
    q: tuple[float, ...] = ()  # of ``candidates``


class BeamSearch:
    """The look-ahead of one state; after ``run`` ``best`` is the winning node and ``choice`` its first action."""

    def __init__(
        self, world: World, state: State, name: str, seed: int, settings: BeamSettings | None = None
    ) -> None:
        self.world = world
        self.settings = settings or BeamSettings()
        self.name, self.seed = name, seed
        self.root = BeamNode(state)
        self.kept = [self.root]

    @property
    def best(self) -> BeamNode:
        """The node of the largest score, the first on ties."""
        return max(self.kept, key=lambda node: node.score)

    @property
    def choice(self) -> Candidate:
        """What to do now. Raises ``CriticError`` where the root has no valid candidate."""
        best = self.best
        if best.path:
            return best.path[0]
        if not best.candidates:
            raise CriticError(
                f"{self.name}: no candidate is valid, so nothing can be planned. Sample more, or hotter."
            )
        return best.candidates[0]

    def run(self) -> Search:
        """Expand depth by depth; all nodes of a depth are proposed for and valued together."""
        yield from self._value(self.kept)
        for _ in range(self.settings.depth):
            ended = [node for node in self.kept if node.state.ended]
            grown = [self._child(node, rank) for node in self.kept for rank in range(self._tried(node))]
            if not grown:
                return
            yield from self._value(grown)
            self.kept = sorted([*ended, *grown], key=lambda node: -node.score)[: self.settings.width]

    def _tried(self, node: BeamNode) -> int:
        return min(self.settings.width, len(node.candidates))

    def _child(self, node: BeamNode, rank: int) -> BeamNode:
        candidate = node.candidates[rank]
        state = self.world.step(node.state, str(candidate.action))
        collected = node.collected + self.settings.gamma ** len(node.path) * state.reward
        return BeamNode(state, (*node.path, candidate), collected)

    def _value(self, nodes: list[BeamNode]) -> Search:
        """Candidates and score of every node; one that ended has no future."""
        live = [node for node in nodes if not node.state.ended]
        if live:
            proposals: list[list[Candidate]] = yield [self._propose(node) for node in live]
            valid = [[c for c in some if c.valid] for some in proposals]
            asked: list[Request] = [
                Evaluate(n.state, some) for n, some in zip(live, valid, strict=True) if some
            ]
            answers: Any = (yield asked) if asked else []
            remaining = iter(answers)
            for node, some in zip(live, valid, strict=True):
                q: FloatArray = next(remaining) if some else np.zeros(0)
                order = sorted(range(len(some)), key=lambda i: -q[i])
                node.candidates = tuple(some[i] for i in order)
                node.q = tuple(float(q[i]) for i in order)
        for node in nodes:
            future = node.q[0] if node.q else 0.0
            node.score = node.collected + self.settings.gamma ** len(node.path) * future

    def _propose(self, node: BeamNode) -> Propose:
        place = "|".join(str(candidate.action) for candidate in node.path)
        return Propose(node.state, self.settings.samples, decision_seed(f"{self.name}|{place}", self.seed, 0))
