"""Batches of features for value heads, streamed: one pool in memory, the next one read meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agentq.training.critic_data import CriticData, HeadBatch, Split, check_finite
from agentq.training.following import chunk_windows, final_steps, next_groups, next_rows
from agentq.training.head_loss import ObjectiveSettings
from agentq.training.rows import Rows, as_rows
from agentq.training.sources import BlockShuffle, IndexArray

Arrays = dict[str, NDArray[Any]]
#: Bytes of features held by one pool; two are in memory at a time.
POOL_BYTES = 48 * 2**20
_BLOCK = 64  # neighbouring rows that are read together


class PoolReader:
    """Slices of a shuffled stream; a pool is loaded whole, in drawn order, and the next one in advance."""

    def __init__(self, order: BlockShuffle, load: Callable[[IndexArray], Arrays]) -> None:
        self.order, self._load = order, load
        self._pools: dict[int, Future[Arrays]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="agentq-pool")

    def read(self, position: int, count: int) -> Arrays:
        """The rows drawn at ``position`` .. ``position + count - 1``."""
        pieces: list[Arrays] = []
        while count > 0:
            number, offset = self.order.locate(position)
            pool = self._pool(number)
            piece = {name: values[offset : offset + count] for name, values in pool.items()}
            taken = len(next(iter(piece.values())))
            pieces.append(piece)
            position, count = position + taken, count - taken
        if len(pieces) == 1:
            return pieces[0]
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}

    def _pool(self, number: int) -> Arrays:
        if self.order.pools_per_epoch == 1 and number not in self._pools and self._pools:
            return self._reordered(number)
        if number not in self._pools:
            self._pools = {number: self._thread.submit(self._read, number)}
        current = self._pools[number].result()
        if self.order.pools_per_epoch > 1 and number + 1 not in self._pools:
            self._pools = {
                number: self._pools[number],
                number + 1: self._thread.submit(self._read, number + 1),
            }
        return current

    def _reordered(self, number: int) -> Arrays:
        """Data that fits one pool is read once; a new epoch is a new order of what is there."""
        known, future = next(iter(self._pools.items()))
        where = np.argsort(self.order.pool(known))[self.order.pool(number)]
        arrays = {name: values[where] for name, values in future.result().items()}
        done: Future[Arrays] = Future()
        done.set_result(arrays)
        self._pools = {number: done}
        return arrays

    def _read(self, number: int) -> Arrays:
        return self._load(self.order.pool(number))


class HeadSource:
    """Micro-batches of ``batch_size`` transitions and ``groups`` candidate groups (a ``BatchSource``).

    ``objective`` says what each transition brings along: candidates of the next state (rover), a window of
    steps (dqc), else nothing. Both are read with the pool, by row numbers.
    """

    def __init__(
        self,
        data: CriticData,
        part: Split,
        batch_size: int,
        groups: int,
        states: bool,
        seed: int,
        *,
        objective: ObjectiveSettings | None = None,
    ) -> None:
        self.data, self.part, self.batch_size, self.states = data, part, batch_size, states
        self.objective = objective or ObjectiveSettings()
        self.groups = min(groups, len(part.groups)) if len(part.groups) else 0
        self._q = as_rows(data.q_features)
        self._s = None if data.state_features is None else as_rows(data.state_features)
        self.identity = f"{data.digest} batch={batch_size} groups={self.groups} seed={seed} pool={POOL_BYTES}"
        width = _row_bytes(self._q) * (1 + self._rows_along())
        width += 2 * _row_bytes(self._s) if states and self._s is not None else 0
        self._steps = PoolReader(_order(len(part.transitions), width, seed), self._load_steps)
        self._groups: PoolReader | None = None
        if self.groups:
            assert data.group_rows is not None
            width = data.group_rows.shape[1] * _row_bytes(self._q)
            self._groups = PoolReader(_order(len(part.groups), width, seed + 1), self._load_groups)

    def batch(self, index: int) -> HeadBatch:
        """Micro-batch ``index``."""
        arrays = self._steps.read(index * self.batch_size, self.batch_size)
        if self._groups is not None:
            arrays = {**arrays, **self._groups.read(index * self.groups, self.groups)}
        return HeadBatch(**{name: _tensor(values) for name, values in arrays.items()})

    def weight(self, batch: HeadBatch) -> float:
        """Transitions in the batch."""
        return float(len(batch.q))

    def describe(self, index: int) -> str:
        """The transitions of a micro-batch."""
        rows = self.part.transitions[self._steps.order.rows(index * self.batch_size, self.batch_size)]
        shown = ", ".join(map(str, rows[:8].tolist()))
        return f"transitions {shown}{', ...' if len(rows) > 8 else ''}"

    def _rows_along(self) -> int:
        """Rows of action features that a transition brings along."""
        if self.objective.name == "dqc":
            return self.objective.chunk.h if self.objective.chunk.target == "chunk" else 0
        if self.objective.name != "rover":
            return 0
        return next_rows(self.data, self.part.transitions[:1], self.objective.backup).shape[1]

    def _load_steps(self, chosen: IndexArray) -> Arrays:
        steps = self.part.transitions[chosen]
        arrays = self._own(steps)
        if self.objective.name == "rover":
            arrays.update(self._next_candidates(steps))
        if self.objective.name == "dqc":
            arrays.update(self._windows(steps))
        return arrays

    def _own(self, steps: IndexArray) -> Arrays:
        data = self.data
        arrays: Arrays = {
            "q": _gather(self._q, data.q_rows[steps], "features of (state, action)"),
            "returns": data.returns[steps],
        }
        if self.states and self._s is not None and data.state_rows is not None:
            arrays["states"] = _gather(self._s, data.state_rows[steps], "features of states")
        one_step = self.states and self.objective.name != "dqc"
        if one_step and self._s is not None and data.next_state_rows is not None:
            arrays["next_states"] = _gathered(self._s, data.next_state_rows[steps], "features of states")
        if data.rewards is not None:
            arrays["rewards"] = data.rewards[steps]
        if data.terminated is not None:
            arrays["terminated"] = data.terminated[steps]
        return arrays

    def _next_candidates(self, steps: IndexArray) -> Arrays:
        backup = self.objective.backup
        rows = next_rows(self.data, steps, backup)  # (B, N)
        flat = _gathered(self._q, rows.reshape(-1), "features of (state, action)")
        arrays: Arrays = {"next_q": flat.reshape(*rows.shape, -1), "next_present": rows >= 0}
        if backup == "expected":
            assert self.data.group_log_probs is not None
            arrays["next_log_probs"] = self.data.group_log_probs[next_groups(self.data, steps)]
        return arrays

    def _windows(self, steps: IndexArray) -> Arrays:
        """Targets over windows of steps instead of those over one step, and the windows' features."""
        data, chunk = self.data, self.objective.chunk
        assert self._s is not None
        assert data.next_state_rows is not None
        rows = chunk_windows(data, steps, chunk.h, self.objective.gamma)
        following = np.where((rows.mask == 0).numpy(), -1, data.next_state_rows[final_steps(rows)])
        arrays: Arrays = {
            "rewards": rows.reward.numpy(),
            "terminated": (rows.mask == 0).numpy(),
            "horizons": rows.horizon.numpy(),
            "next_states": _gathered(self._s, following, "features of states"),
        }
        if chunk.target == "chunk":
            numbers = data.q_rows[rows.actions.numpy()]  # (B, h)
            flat = _gather(self._q, numbers.reshape(-1), "features of (state, action)")
            arrays["chunks"] = flat.reshape(*numbers.shape, -1)
        return arrays

    def _load_groups(self, chosen: IndexArray) -> Arrays:
        data, groups = self.data, self.part.groups[chosen]
        assert data.group_rows is not None
        rows = data.group_rows[groups]  # (G, N)
        flat = _gather(self._q, np.maximum(rows, 0).reshape(-1), "features of (state, action)")
        arrays: Arrays = {"candidates": flat.reshape(*rows.shape, -1), "present": rows >= 0}
        if data.group_labels is not None:
            arrays["labels"] = np.where(rows >= 0, data.group_labels[groups], np.nan)
        if data.group_logged is not None:
            arrays["logged"] = data.group_logged[groups]
        return arrays


def _order(size: int, row_bytes: int, seed: int) -> BlockShuffle:
    blocks = max(1, POOL_BYTES // max(1, row_bytes * _BLOCK))
    return BlockShuffle(size, seed, block=_BLOCK, pool_blocks=blocks)


def _row_bytes(rows: Rows) -> int:
    return int(rows.shape[1]) * np.dtype(rows.dtype).itemsize


def _gathered(features: Rows, rows: IndexArray, what: str) -> NDArray[Any]:
    """As ``_gather``, zeros for rows of -1."""
    found = _gather(features, np.maximum(rows, 0), what)
    found[rows < 0] = 0
    return found


def _gather(features: Rows, rows: IndexArray, what: str) -> NDArray[Any]:
    found = np.asarray(features[rows])
    check_finite(found, rows, what)
    return found


def _tensor(values: NDArray[Any]) -> Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    return tensor if tensor.dtype in (torch.bool, torch.int64) else tensor.float()
