"""The trajectory log: schema, append-only writer, reader, transitions, token masks."""

from __future__ import annotations

from agentq.trajectories.masks import TokenMasks, masks, pad_masks
from agentq.trajectories.reader import Episode, LoggedStep, TrajectoryReader
from agentq.trajectories.schema import SCHEMA_VERSION
from agentq.trajectories.shards import Damage, LogDamageWarning
from agentq.trajectories.transitions import Transition, transitions
from agentq.trajectories.writer import Repair, TrajectoryWriter

__all__ = [
    "SCHEMA_VERSION",
    "Damage",
    "Episode",
    "LogDamageWarning",
    "LoggedStep",
    "Repair",
    "TokenMasks",
    "TrajectoryReader",
    "TrajectoryWriter",
    "Transition",
    "masks",
    "pad_masks",
    "transitions",
]
