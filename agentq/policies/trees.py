"""Samples of one prompt grown as a tree: equal beginnings are computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from agentq.policies.constrained import END, Follow, Grammar
from agentq.policies.engines import Engine, Node
from agentq.policies.sampling import Draws, Temper, draw
from agentq.types import FloatArray


@dataclass(frozen=True, slots=True)
class Finished:
    """A distinct reply of one prompt and the samples that drew it."""

    row: int
    path: tuple[int, ...]  # token ids, end-of-turn included
    logprobs: tuple[float, ...]
    members: list[int]
    complete: bool = True  # False: cut at max_new_tokens


def root(row: int, last_token: int, begin: Follow, members: Sequence[int]) -> Node | Finished:
    """The node of all samples of a prompt, behind the tokens that leave no choice."""
    logprobs = (0.0,) * len(begin.forced)
    if begin.state == END:
        return Finished(row, begin.forced, logprobs, list(members))
    return Node(row, begin.state, begin.forced, logprobs, list(members), (last_token, *begin.forced))


def grow(
    engine: Engine,
    nodes: list[Node],
    grammars: Sequence[Grammar],
    numbers: Sequence[FloatArray],
    temper: Temper,
    max_new_tokens: int,
) -> Iterator[Finished]:
    """Draw until every sample is complete or cut.

    ``max_new_tokens`` bounds free text, counted behind the longest literal opening of the state.
    ``grammars`` is indexed by a node's row, ``numbers`` by sample: (W,) uniforms, one per token position.
    """
    while nodes:
        logits = engine.logits(nodes)
        allowed = [grammars[node.row].allowed(node.state) for node in nodes]
        wanted = [np.array([numbers[m][len(node.path)] for m in node.members]) for node in nodes]
        children: list[Node] = []
        for node, drawn in zip(nodes, draw(logits, allowed, wanted, temper), strict=True):
            for child in _children(node, drawn, grammars[node.row], max_new_tokens):
                if isinstance(child, Finished):
                    yield child
                else:
                    children.append(child)
        nodes = children


def _children(node: Node, drawn: Draws, grammar: Grammar, max_new_tokens: int) -> Iterator[Node | Finished]:
    groups: dict[int, tuple[float, list[int]]] = {}
    for member, token, logprob in zip(node.members, drawn.tokens, drawn.logprobs, strict=True):
        groups.setdefault(token, (logprob, []))[1].append(member)
    for token, (logprob, members) in groups.items():
        follow = grammar.follow(node.state, token)
        added = (token, *follow.forced)
        path = node.path + added
        logprobs = (*node.logprobs, logprob, *(0.0,) * len(follow.forced))
        if follow.state == END:
            yield Finished(node.row, path, logprobs, members)
        elif (
            follow.state.node < 0 and len(path) >= grammar.opening + max_new_tokens
        ):  # free text; the trie ends by itself
            yield Finished(node.row, path, logprobs, members, complete=False)
        else:
            yield Node(node.row, follow.state, path, logprobs, members, added, node.columns)
