"""Lengths of preference pairs in tokens: room for the longest, nothing cut or dropped, pairs of a batch alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from agentq.errors import TrainingError

if TYPE_CHECKING:
    from agentq.backbones.backbone import Backbone

_SPREAD = 0.1  # by which lengths are blurred, so that a group is not the same pairs whatever the seed


def pair_lengths(rows: Any, backbone: Backbone) -> list[int]:
    """Tokens of every pair: its prompt and the longer reply."""
    return [
        len(backbone.prompt_ids(row["prompt"]))
        + max(len(backbone.action_ids(row[name][-1]["content"])) for name in ("chosen", "rejected"))
        for row in rows
    ]


def needed_length(lengths: Sequence[int], backbone: Backbone, wanted: int) -> int:
    """Tokens of the longest pair, or ``wanted`` when that is enough. Raises ``TrainingError`` when nothing is."""
    if not lengths:
        raise TrainingError(
            "there are no pairs to learn from. Search more tasks, or lower the gap that a pair needs."
        )
    longest = max(lengths) + 8  # templates may close a turn with more than its end token
    allowed = min(wanted or longest, backbone.max_length)
    if longest - 8 > allowed:
        raise TrainingError(
            f"the longest pair has {longest - 8} tokens, but only {allowed} are allowed "
            f"(max_length={wanted or 'auto'}; {backbone.config.name!r} reads {backbone.max_length}). trl would cut the "
            "reply off its end or drop the pair. Raise max_length, use a longer model, or render shorter observations."
        )
    return allowed


def length_groups(lengths: Sequence[int], size: int, seed: int) -> list[int]:
    """An order of all pairs in which every ``size`` of them have about the same length, so little is padding.

    Which pairs share a group and the order of the groups are drawn by ``seed``; what is left over comes last.
    Raises ``ValueError`` for a size below 1.
    """
    if size < 1:
        raise ValueError(f"size={size}: expected at least one pair a group.")
    random = np.random.default_rng(seed)
    drawn = random.permutation(len(lengths))
    kept, rest = drawn[: len(drawn) - len(drawn) % size], drawn[len(drawn) - len(drawn) % size :]
    blurred = np.asarray(lengths, float)[kept] * random.uniform(1 - _SPREAD, 1 + _SPREAD, len(kept))
    groups = kept[np.argsort(blurred)].reshape(-1, size)
    return [*map(int, random.permutation(groups).reshape(-1)), *map(int, rest)]


def check_nothing_lost(prepared: Any, rows: int, limit: int) -> None:
    """Raise ``TrainingError`` unless trl kept all rows and every token of their replies.

    trl cuts sequences at ``max_length`` from the END, which is the reply, and silently drops rows whose reply is cut
    away completely; what it will cut shows in the token ids that it prepared.
    """
    if len(prepared) != rows:
        raise TrainingError(
            f"trl kept {len(prepared)} of {rows} pairs at max_length={limit}: it drops pairs whose prompt alone fills "
            "that. Raise max_length."
        )
    for number, row in enumerate(prepared):
        replies = [len(row[name]) for name in ("chosen_ids", "rejected_ids")]
        if min(replies) < 1 or len(row["prompt_ids"]) + max(replies) > limit:
            raise TrainingError(
                f"pair {number} has {len(row['prompt_ids'])} + {max(replies)} tokens, and trl cuts at {limit}: its "
                "reply would lose its end. Raise max_length."
            )
