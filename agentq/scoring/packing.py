"""The candidates of one state as a token tree: equal beginnings stand once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from agentq.errors import CandidateError


@dataclass(frozen=True, slots=True)
class PackedCandidates:
    """N candidates as a tree of Q tokens, parents before children."""

    ids: list[int]  # (Q,)
    depths: list[int]  # (Q,) tokens of the candidate before this one
    visible: Tensor  # (Q, Q) bool: row may look at column (its ancestors and itself)
    paths: tuple[tuple[int, ...], ...]  # per candidate, its tokens as numbers of tree tokens

    @property
    def longest(self) -> int:
        """Tokens of the longest candidate."""
        return max(len(path) for path in self.paths)


def pack(candidates: Sequence[Sequence[int]], state: int = 0) -> PackedCandidates:
    """Merge candidates' token ids into a tree. Raises ``CandidateError`` where there are none."""
    if not candidates:
        raise CandidateError(
            f"state {state} has no candidates to score. Expected at least one list of token ids."
        )
    children: dict[tuple[int, int], int] = {}
    ids, depths, parents, paths = list[int](), list[int](), list[int](), list[tuple[int, ...]]()
    for number, candidate in enumerate(candidates):
        if not candidate:
            raise CandidateError(
                f"state {state}: candidate {number} has no tokens. Tokenise it with Backbone.action_ids, "
                "which ends every action with the end-of-turn token."
            )
        node, path = -1, list[int]()
        for depth, token in enumerate(candidate):
            child = children.get((node, token))
            if child is None:
                child = children[node, token] = len(ids)
                ids.append(token)
                depths.append(depth)
                parents.append(node)
            node = child
            path.append(node)
        paths.append(tuple(path))
    visible = torch.eye(len(ids), dtype=torch.bool)
    rows = visible.numpy()
    for node, parent in enumerate(parents):
        if parent >= 0:
            rows[node] |= rows[parent]
    return PackedCandidates(ids, depths, visible, tuple(paths))
