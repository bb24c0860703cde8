"""ROVER: the token-level loss, centred rewards, values on trees (in floats and exactly), the softmax selector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agentq.critics.base import Scores
from agentq.objectives import candidate_trees as trees
from agentq.objectives.rover import (
    Backup,
    balanced_rewards,
    candidate_backup,
    centred_rewards,
    rover_loss,
    standardised_rewards,
    token_statistics,
)
from agentq.selectors.best_of_n import BestOfN
from agentq.selectors.softmax import Softmax
from agentq.types import Candidate, FloatArray
from tests.conformance.runner import compare, each_row


@dataclass(frozen=True)
class Node:
    """A state with its actions' subtrees, or a leaf with a reward."""

    children: tuple[Node, ...] = ()
    reward: float = 0.0

    @cached_property
    def uniform(self) -> FloatArray:
        return self._q("mean")

    @cached_property
    def star(self) -> FloatArray:
        return self._q("max")

    def _q(self, how: Backup) -> FloatArray:
        """(actions,) by one backup of this state's transitions."""
        children = self.children
        after = [child.uniform if how == "mean" else child.star for child in children]
        width = max([1, *map(len, after)])
        values = torch.zeros(len(children), width, dtype=torch.float64)
        present = torch.zeros(len(children), width, dtype=torch.bool)
        for i, q in enumerate(after):
            values[i, : len(q)], present[i, : len(q)] = torch.from_numpy(q), True
        rewards = torch.tensor([child.reward for child in children], dtype=torch.float64)
        ended = torch.tensor([not child.children for child in children])
        return candidate_backup(rewards, ended, values, present, how=how).numpy()

    def states(self, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Node]]:
        if self.children:
            yield path, self
        for i, child in enumerate(self.children):
            yield from child.states((*path, i))


def read_tree(content: Mapping[str, Any]) -> Node:
    children = tuple(read_tree(child) for child in content.get("a", ()))
    return Node(children, float(content.get("r", 0.0)))


def candidates(q: FloatArray) -> list[Candidate]:
    return [Candidate(str(i), str(i)) for i in range(len(q))]


def best_set(q: FloatArray) -> list[int]:
    """What best-of-N with random ties may choose; rounding of sums must not break an exact tie."""
    rounded = np.round(q, 12)
    return np.flatnonzero(BestOfN("random").probabilities(Scores(rounded), candidates(q))).tolist()


def softmax_success(node: Node, temperature: float) -> float:
    """Exact success of the softmax selector on the uniform values below ``node``."""
    if not node.children:
        return node.reward
    p = Softmax(temperature).probabilities(Scores(node.uniform), candidates(node.uniform))
    return sum(float(p[i]) * softmax_success(child, temperature) for i, child in enumerate(node.children))


def success_bound(root: Node, temperature: float) -> float:
    """Theorem 3.2 with R = 1, on the states that the softmax selector reaches."""
    lost = 0.0
    reached: dict[tuple[int, ...], float] = {(): 1.0}
    for path, node in root.states():
        q, here = node.uniform, reached[path]
        zeros = int((q == 0).sum())
        if 0 < zeros < len(q):
            lost += here * zeros / (zeros + float(np.exp(q.max() / temperature)))
        p = Softmax(temperature).probabilities(Scores(q), candidates(q))
        reached |= {(*path, i): here * float(p[i]) for i in range(len(q))}
    return 1 - lost


def _tabular(row: Any, data: Path) -> list[str]:
    root = read_tree(row["tree"])
    nodes = dict(root.states())
    lines = compare(len(nodes), len(row["states"]), path="states")
    for state in row["states"]:
        node, where = nodes[tuple(state["path"])], f"state {state['path']}"
        lines += compare(node.uniform, state["q_uniform"], absolute=1e-12, path=f"{where}.q_uniform")
        lines += compare(node.star, state["q_star"], absolute=1e-12, path=f"{where}.q_star")
        lines += compare(best_set(node.uniform), state["greedy_uniform"], path=f"{where}.greedy_uniform")
        lines += compare(best_set(node.star), state["optimal"], path=f"{where}.optimal")
    got = {"v_uniform": float(root.uniform.mean()), "v_star": float(root.star.max())}
    lines += compare(got, {name: row[name] for name in got}, absolute=1e-9)
    for name, function in (("softmax_value", softmax_success), ("theorem_bound", success_bound)):
        wanted: Mapping[str, float] = row.get(name) or {}
        found = {rho: function(root, float(rho)) for rho in wanted}
        lines += compare(found, wanted, absolute=1e-9, path=name)
    return lines + _exact(row)


def exact_tree(content: Mapping[str, Any]) -> trees.Tree:
    return [exact_tree(child) for child in content["a"]] if "a" in content else Fraction(content["r"])


def _exact(row: Any) -> list[str]:
    """The same in rational numbers."""
    tree = exact_tree(row["tree"])
    states = [
        {
            "path": list(state.path),
            "q_uniform": [float(value) for value in state.uniform],
            "q_uniform_exact": [str(value) for value in state.uniform],
            "q_star": [float(value) for value in state.best],
            "greedy_uniform": list(state.greedy),
            "optimal": list(state.optimal),
        }
        for state in trees.states(tree)
    ]
    lines = compare(states, row["states"], absolute=1e-12, path="exact")
    bounds: Mapping[str, float] = row.get("theorem_bound") or {}
    for function, wanted in ((trees.softmax_value, row["softmax_value"]), (trees.softmax_bound, bounds)):
        found = {rho: function(tree, float(rho)) for rho in wanted}
        lines += compare(found, wanted, absolute=1e-9, path=f"exact {function.__name__}")
    return lines


def _didactic(row: Any, data: Path) -> list[str]:
    """Four letters, three moves; ``wins`` lists the words that succeed."""

    def grow(word: str) -> Node:
        if len(word) == 3:
            return Node((), float(word in row["wins"]))
        return Node(tuple(grow(word + letter) for letter in "ABCD"))

    root = grow("")
    assert len({"".join(word) for word in product("ABCD", repeat=3)} & set(row["wins"])) == len(row["wins"])
    got = {
        "v_uniform": float(root.uniform.mean()),
        "root_q": root.uniform,
        "softmax_value": {rho: softmax_success(root, float(rho)) for rho in row["softmax_value"]},
    }
    return compare(got, {name: row[name] for name in got}, absolute=1e-9)


def _centred(row: Any, data: Path) -> list[str]:
    scores = torch.tensor(row["scores"], dtype=torch.float64)
    names: Sequence[str] = sorted(set(row["groups"]))
    groups = torch.tensor([names.index(name) for name in row["groups"]])
    got = {
        "countdown_mean_centred": centred_rewards(scores, groups),
        "math_script_grpo_std": standardised_rewards(scores, groups),
        "math_rover_estimator_unused": balanced_rewards(scores),
    }
    return compare(got, {name: row[name] for name in got}, absolute=1e-5)


def _tensor(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def _rover_loss(row: Any, data: Path) -> list[str]:
    logits, old_logits = _tensor(row["logits"]).requires_grad_(), _tensor(row["old_logits"])
    tokens = torch.tensor(row["tokens"])
    new, old = (token_statistics(values, tokens, row["temperature"]) for values in (logits, old_logits))
    got = rover_loss(
        new,
        old,
        torch.tensor(row["mask"]),
        _tensor(row["centred_reward"]),
        rho=row["rover_t"],
        beta=row["next_q_scale_factor"],
    )
    got.loss.backward()
    results = {
        "log_prob": new.log_prob.detach(),
        "old_log_prob": old.log_prob,
        "mean_logsoftmax": new.mean_log_softmax.detach(),
        "old_mean_logsoftmax": old.mean_log_softmax,
        "q_values": got.q.detach(),
        "next_q": got.next_q,
        "target": got.target,
        "loss": got.loss.item(),
        "grad_logits": logits.grad,
    }
    return compare(results, {name: row[name] for name in results}, absolute=1e-5)


CHECKS = {
    "centred_reward": each_row(_centred),
    "didactic_4x4x4": each_row(_didactic),
    "rover_loss": each_row(_rover_loss),
    "tabular_tree": each_row(_tabular),
}
