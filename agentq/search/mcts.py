"""Monte Carlo tree search over candidate actions, as step-level Q-value models collect their data with it.

One iteration: walk down by UCT, expand the leaf with sampled candidates, play on from its best child, back the
result up. ``SearchSettings.variant`` has the differences between the published codes.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np

from agentq.agent import decision_seed
from agentq.search.requests import Asking, Evaluate, Propose, Request, Search
from agentq.search.settings import SearchSettings
from agentq.search.tree import Node, Tree
from agentq.search.walk import backup, select
from agentq.search.worlds import State, World
from agentq.types import Candidate, FloatArray


class TreeSearch:
    """The search of one task: ``tree`` grows while the generator of ``run`` is served.

    What is sampled depends on (task, seed, place in the tree) alone, never on what else is searched beside it.
    """

    def __init__(
        self,
        world: World,
        task: str,
        seed: int,
        settings: SearchSettings | None = None,
        *,
        root: State | None = None,  # where to begin, when not at the task's beginning
    ) -> None:
        self.settings = settings or SearchSettings()
        self.world = world
        state = root if root is not None else world.root(task, seed)
        self.tree = Tree(task, seed, Node(state, terminal=state.ended))
        self._known: dict[tuple[str, ...], State] = {}  # simulations often meet states of the tree again

    def run(self) -> Search:
        """Search until the iterations are used up, the task is solved, or nothing is left to try."""
        flying: list[tuple[Asking, Request]] = []
        while True:
            while len(flying) < self.settings.in_flight and self._goes_on:
                started = self._start()
                if started is None:
                    break
                if (request := next(started, None)) is not None:
                    flying.append((started, request))
            if not flying:
                break
            answers = yield [request for _, request in flying]
            flying = [
                (simulation, request)
                for (simulation, _), answer in zip(flying, answers, strict=True)
                if (request := _sent(simulation, answer)) is not None
            ]
        self._finish()

    @property
    def _goes_on(self) -> bool:
        return not self.tree.stopped and self.tree.iterations < self.settings.iterations

    def _start(self) -> Asking | None:
        """The next simulation; None when there is none, for now or for good (then ``tree.stopped`` says so)."""
        tree, rules = self.tree, self.settings.rules
        while True:
            leaf = self._leaf()
            if leaf is None:
                if not tree.root.pending:
                    tree.stopped = "exhausted"
                return None
            if leaf.success:
                tree.iterations += 1
                backup(leaf, leaf.reward, rules)
                if self.settings.early_stop:
                    tree.stopped = "success"
                if not self._goes_on:
                    return None
                continue
            if leaf.depth >= self.settings.max_depth and self._taken_out(leaf):
                continue
            tree.iterations += 1
            leaf.claimed = True
            for node in leaf.ancestors():
                node.pending += 1
            return self._simulate(leaf)

    def _leaf(self) -> Node | None:
        """What the walk finds. The published code repeats it, without end when nothing is left to delete."""
        if self.settings.uct != "official":
            return select(self.tree.root, self.settings)
        size = -1
        while True:
            leaf = select(self.tree.root, self.settings)
            if leaf is not None and (not leaf.terminal or leaf.reward == 1):
                return leaf
            before, size = size, sum(1 for _ in self.tree.root.preorder())
            if size == before:
                return None

    def _taken_out(self, leaf: Node) -> bool:
        """Whether a leaf at the depth limit is not walked to again; elsewise a simulation ends on it at once."""
        if self.settings.rules.ends_at_depth:
            leaf.terminal = True
            return True
        leaf.closed = self.settings.uct != "official"
        return leaf.closed

    def _simulate(self, leaf: Node) -> Asking:
        settings, tree = self.settings, self.tree
        yield from self._expand(leaf)
        leaf.claimed = False
        for node in leaf.ancestors():
            node.pending -= 1
        if not leaf.children:
            leaf.closed = True
            end, value = leaf, leaf.reward
        else:
            start = max(leaf.children, key=lambda child: child.value)
            if settings.evaluation == "critic":
                end, value = start, start.reward if start.terminal else (start.q or 0.0)
            else:
                end, value = yield from self._rollout(start)
        tree.rollouts.append(end)
        backup(end, value, settings.rules)
        met = end.success and (settings.rollout_early_stop or settings.rules.any_success_ends)
        if met or (settings.early_stop and any(node.success for node in leaf.children)):
            tree.stopped = "success"

    def _expand(self, leaf: Node) -> Asking:
        settings = self.settings
        if leaf.depth >= settings.max_depth:
            return
        width = settings.width * (settings.rules.root_factor if leaf.parent is None else 1)
        children = yield from self._sample(leaf, width, len(leaf.children), settings.uses_critic)
        leaf.children.extend(children)

    def _rollout(self, node: Node) -> Generator[Request, Any, tuple[Node, float]]:
        """Play on from ``node``: the end node and what it is worth. Its nodes stay outside the tree."""
        settings, rules = self.settings, self.settings.rules
        number, bests = self.tree.iterations, [0.0]
        while not node.terminal and node.depth < settings.max_depth:
            samples = yield from self._sample(
                node, settings.simulation_width, 0, rules.guided_rollouts, f"r{number}."
            )
            if not samples:
                break
            if (end := next((sample for sample in samples if sample.terminal), None)) is not None:
                return end, end.reward
            node = max(samples, key=lambda sample: sample.value) if rules.guided_rollouts else samples[0]
            bests.append(node.value)
            if node.depth == settings.max_depth:
                node.reward, bests = rules.depth_penalty, [rules.depth_penalty]
        averaged = rules.guided_rollouts and rules.initial == "zero"  # LATS on HotPotQA
        return node, float(np.mean(bests)) if averaged else node.reward

    def _sample(
        self, node: Node, width: int, offset: int, valued: bool, mark: str = ""
    ) -> Generator[Request, Any, list[Node]]:
        """Nodes behind the candidates of ``node``'s state, not yet among its children."""
        # The published code expands a node again when all its children were deleted; it then samples anew.
        seed = decision_seed(f"{self.tree.task}|{mark}{node.name}", self.tree.seed, offset + node.visits)
        candidates: list[Candidate] = yield Propose(node.state, width, seed)
        if not self.settings.keeps_invalid:
            candidates = [candidate for candidate in candidates if candidate.valid]
        children = [self._child(node, c, f"{mark}{node.name}.{offset + i}") for i, c in enumerate(candidates)]
        if valued and children:
            q: FloatArray = yield Evaluate(node.state, candidates)
            self._enter_values(children, q)
        return children

    def _child(self, parent: Node, candidate: Candidate, name: str) -> Node:
        rules = self.settings.rules
        state = parent.state if candidate.action is None else self._step(parent.state, candidate.action)
        refused = candidate.action is None or not state.legal
        reward = rules.invalid_reward if refused else state.reward
        ended = candidate.action is not None and state.ended
        return Node(
            state, parent, candidate.action, candidate.text,
            value=reward if rules.initial == "reward" else 0.0,
            reward=reward,
            terminal=ended or (rules.ends_on_reward and reward > 0) or reward == 1,
            count=candidate.count,
            name=name,
            depth=parent.depth + 1,
        )  # fmt: skip

    def _step(self, state: State, action: str) -> State:
        key = (*state.actions, action)
        if key not in self._known:
            self._known[key] = self.world.step(state, action)
        return self._known[key]

    def _enter_values(self, children: Sequence[Node], q: FloatArray) -> None:
        settings, rules = self.settings, self.settings.rules
        finite = np.where(np.isfinite(q), q, rules.invalid_reward)
        for child, value, prior in zip(children, finite, priors(q, settings.prior_temperature), strict=True):
            child.q, child.prior = float(value), float(prior)
        if settings.values != "critic" and not rules.guided_rollouts:
            return
        top = max(float(finite.max()), 0.0) or 1.0
        for child in children:
            assert child.q is not None
            if not rules.relative_values:
                child.value = child.reward if child.terminal and not rules.guided_rollouts else child.q
            else:
                child.value = (top + 1) / top if child.terminal else child.q / top

    def _finish(self) -> None:
        """The published closing: terminal tree nodes that are still worth 0 are entered with their reward."""
        self.tree.stopped = self.tree.stopped or "iterations"
        if self.tree.stopped != "success" or not self.settings.early_stop:
            for node in list(self.tree.root.preorder()):
                if node.terminal and node.value == 0:
                    backup(node, node.reward, self.settings.rules)


def priors(q: FloatArray, temperature: float) -> FloatArray:
    """softmax(q / T) over siblings, T in units of their spread; 0 for -inf, uniform where all are equal. (N,)"""
    known = np.isfinite(q)
    if not known.any():
        return np.full(len(q), 1 / max(len(q), 1))
    spread = float(q[known].std()) or 1.0
    weights = np.where(
        known, np.exp((np.where(known, q, 0.0) - q[known].max()) / (temperature * spread)), 0.0
    )
    return weights / weights.sum()


def _sent(simulation: Asking, answer: Any) -> Request | None:
    """The next request of a simulation, None when it has ended."""
    try:
        return simulation.send(answer)
    except StopIteration:
        return None
