"""What came after a logged step, as row numbers: the candidates of the next state, and chunks of steps."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from agentq.errors import TrainingError
from agentq.objectives.chunking import ChunkRows, reward_chunks
from agentq.objectives.rover import Backup
from agentq.training.critic_data import CriticData
from agentq.training.sources import IndexArray

#: How the value of the next state is backed up; "sarsa": that of the action executed there.
CandidateBackup: TypeAlias = Backup | Literal["sarsa"]
BACKUPS = (*get_args(Backup), "sarsa")


def needed_arrays(backup: CandidateBackup) -> tuple[str, ...]:
    """Fields of ``CriticData`` that hold what ``backup`` is over."""
    if backup == "sarsa":
        return ("next_steps",)
    return ("next_groups", "group_rows", *(("group_log_probs",) if backup == "expected" else ()))


def next_groups(data: CriticData, steps: IndexArray) -> IndexArray:
    """Group of the next state's candidates, -1 after the end: (B,) -> (B,)."""
    assert data.next_groups is not None
    assert data.terminated is not None
    return np.where(data.terminated[steps], -1, data.next_groups[steps])


def next_rows(data: CriticData, steps: IndexArray, backup: CandidateBackup) -> IndexArray:
    """Rows of ``q_features`` that a target backs up from, -1 for none: (B,) -> (B, N); (B, 1) for "sarsa"."""
    if backup == "sarsa":
        assert data.next_steps is not None
        assert data.terminated is not None
        following = np.where(data.terminated[steps], -1, data.next_steps[steps])
        return np.where(following < 0, -1, data.q_rows[following])[:, None]
    groups = next_groups(data, steps)
    assert data.group_rows is not None
    return np.where(groups[:, None] < 0, -1, data.group_rows[groups])


def backed_up(data: CriticData, steps: IndexArray, backup: CandidateBackup) -> NDArray[np.bool_]:
    """Whether a step ended its episode or is followed by what ``backup`` is over, (B,)."""
    assert data.terminated is not None
    following = data.next_steps if backup == "sarsa" else data.next_groups
    assert following is not None
    return data.terminated[steps] | (following[steps] >= 0)


def check_log_probs(data: CriticData) -> None:
    """Raise ``TrainingError`` when a candidate that "expected" weighs has no log-probability."""
    assert data.group_rows is not None
    assert data.next_groups is not None
    assert data.group_log_probs is not None
    missing = np.any(np.isnan(data.group_log_probs) & (data.group_rows >= 0), axis=1)
    used = np.unique(data.next_groups[data.next_groups >= 0])
    bad = used[missing[used]]
    if len(bad):
        raise TrainingError(
            f"backup='expected' weighs candidates by the policy's log-probability, which {len(bad)} of {len(used)} "
            f"next states lack (the first is group {int(bad[0])}). Log a policy that keeps token_logprobs, or "
            "use backup='mean'."
        )


def chunk_windows(data: CriticData, steps: IndexArray, horizon: int, gamma: float) -> ChunkRows:
    """Windows of up to ``horizon`` logged steps from each of ``steps``, cut at the end of the episode.

    Raises ``TrainingError`` unless the steps of an episode stand one after another.
    """
    assert data.next_steps is not None
    assert data.rewards is not None
    assert data.terminated is not None
    last = data.next_steps < 0
    apart = np.flatnonzero(~last & (data.next_steps != np.arange(1, data.transitions + 1)))
    if len(apart):
        raise TrainingError(
            f"step {int(apart[0])} is followed by step {int(data.next_steps[apart[0]])}. Chunks need the steps of "
            "an episode one after another; sort them."
        )
    return reward_chunks(
        torch.from_numpy(np.asarray(data.rewards, dtype=np.float64)),
        torch.from_numpy(np.asarray(data.terminated)),
        torch.from_numpy(last),
        torch.from_numpy(np.asarray(steps, dtype=np.int64)),
        horizon,
        gamma,
    )


def final_steps(rows: ChunkRows) -> IndexArray:
    """The last step of each window, (B,)."""
    return (rows.actions[:, 0] + rows.horizon - 1).numpy()


def closed_windows(data: CriticData, steps: IndexArray, horizon: int) -> NDArray[np.bool_]:
    """Whether the state after each window is known, or none follows, (B,)."""
    assert data.next_state_rows is not None
    rows = chunk_windows(data, steps, horizon, 1.0)
    ended: NDArray[np.bool_] = (rows.mask == 0).numpy()
    return ended | (data.next_state_rows[final_steps(rows)] >= 0)
