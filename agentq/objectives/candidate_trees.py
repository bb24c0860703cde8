"""Exact values of small decision trees with a reward at every leaf, in rational arithmetic.

The reference for claims about backups: "Random Policy Valuation is Enough for LLM Reasoning with Verifiable
Rewards" (arXiv 2509.24981), theorems 3.1 and 3.2. A state is the path that leads to it, so a tree is fully
general for deterministic environments in which the agent sees its history.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

#: A leaf's reward, or the subtrees behind the actions of a state.
Tree: TypeAlias = "Fraction | Sequence[Tree]"
Path: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TreeState:
    """Exact values of the actions of one state."""

    path: Path
    uniform: tuple[Fraction, ...]  # every later choice uniform
    best: tuple[Fraction, ...]  # every later choice the best

    @property
    def greedy(self) -> tuple[int, ...]:
        """The actions that are best under uniform values."""
        return _argmax(self.uniform)

    @property
    def optimal(self) -> tuple[int, ...]:
        """The actions that are best."""
        return _argmax(self.best)


def states(tree: Tree, path: Path = ()) -> Iterator[TreeState]:
    """Every state, parents first, in the order of the actions."""
    if isinstance(tree, Fraction):
        return
    yield TreeState(path, tuple(uniform_value(t) for t in tree), tuple(best_value(t) for t in tree))
    for action, subtree in enumerate(tree):
        yield from states(subtree, (*path, action))


def uniform_value(tree: Tree) -> Fraction:
    """Expected reward of choosing uniformly."""
    if isinstance(tree, Fraction):
        return tree
    return sum((uniform_value(t) for t in tree), Fraction(0)) / len(tree)


def best_value(tree: Tree) -> Fraction:
    """The largest reward of a leaf."""
    return tree if isinstance(tree, Fraction) else max(best_value(t) for t in tree)


def greedy_value(tree: Tree, value: Callable[[Tree], Fraction] = uniform_value) -> Fraction:
    """Expected reward of choosing uniformly among the actions that are best under ``value``."""
    if isinstance(tree, Fraction):
        return tree
    chosen = _argmax([value(t) for t in tree])
    return sum((greedy_value(tree[i], value) for i in chosen), Fraction(0)) / len(chosen)


def softmax_value(tree: Tree, rho: float) -> float:
    """Expected reward of choosing with p ~ exp(Q_uniform / rho) in every state."""
    if isinstance(tree, Fraction):
        return float(tree)
    return math.fsum(
        p * softmax_value(t, rho) for p, t in zip(_softmax(tree, rho), tree, strict=True) if p > 0
    )


def softmax_bound(tree: Tree, rho: float) -> float:
    """Lower bound of ``softmax_value`` by theorem 3.2, for rewards in {0, R} of which R can be reached.

    R (1 - sum over states with zero and other values of Pr(state) N / (N + exp(max Q / rho))), N the number of
    actions of value 0.
    """
    return float(best_value(tree)) * (1.0 - _lost(tree, rho))


def _lost(tree: Tree, rho: float) -> float:
    if isinstance(tree, Fraction):
        return 0.0
    q = [uniform_value(t) for t in tree]
    zeros = sum(value == 0 for value in q)
    here = 0.0
    if 0 < zeros < len(q):
        here = zeros * math.exp(-float(max(q)) / rho)
        here /= here + 1.0
    later = (p * _lost(t, rho) for p, t in zip(_softmax(tree, rho), tree, strict=True) if p > 0)
    return here + math.fsum(later)


def _softmax(subtrees: Sequence[Tree], rho: float) -> list[float]:
    q = [float(uniform_value(t)) for t in subtrees]
    weights = [math.exp((value - max(q)) / rho) for value in q]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def _argmax(values: Sequence[Fraction]) -> tuple[int, ...]:
    return tuple(i for i, value in enumerate(values) if value == max(values))
