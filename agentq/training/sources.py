"""Where batches come from: a pure function of a number, so that the data cursor is that number.

Optimiser step t, accumulation i and process r of W read micro-batch (t * accumulation + i) * W + r. With
a source that cuts one stream of rows into micro-batches of b, W processes x b rows, one process x W*b
rows and accumulation over W micro-batches of b all see the same rows in the same step.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agentq.errors import TrainingError

IndexArray = NDArray[np.int64]


class BatchSource(Protocol):
    """Micro-batches by number; the same number gives the same batch, in any process, at any time."""

    #: Identifies data, order and batch size; a run resumes only on a source with the same identity.
    identity: str

    def batch(self, index: int) -> Any:
        """Micro-batch ``index``: whatever the module's ``forward`` takes."""
        ...

    def weight(self, batch: Any) -> float:
        """How many units (rows, predicted tokens) the loss of this micro-batch is a mean over."""
        ...

    def describe(self, index: int) -> str:
        """Which rows micro-batch ``index`` holds, for error messages."""
        ...


@dataclass(frozen=True)
class BlockShuffle:
    """An endless shuffled stream over ``size`` rows with memory for one pool, not for a permutation.

    Each epoch permutes blocks of ``block`` neighbouring rows, joins ``pool_blocks`` of them to a pool and
    permutes the rows of the pool. Data no larger than one pool is shuffled completely. Reading a pool
    touches ``pool_blocks`` contiguous pieces, whatever the size of the data.
    """

    size: int  # rows
    seed: int
    block: int = 64  # rows that stay neighbours on disk
    pool_blocks: int = 512  # blocks mixed in memory

    def __post_init__(self) -> None:
        if self.size < 1:
            raise TrainingError("there is nothing to train on: 0 rows. Check the log and its filters.")

    @property
    def pools_per_epoch(self) -> int:
        """Number of pools that make one epoch."""
        return -(-self.blocks // self.pool_blocks)

    @property
    def blocks(self) -> int:
        """Number of blocks; the last one may be shorter."""
        return -(-self.size // self.block)

    def pool(self, number: int) -> IndexArray:
        """Rows of pool ``number`` (counted through all epochs) in the order they are drawn."""
        epoch, part = divmod(number, self.pools_per_epoch)
        chosen = _block_order(self, epoch)[part * self.pool_blocks : (part + 1) * self.pool_blocks]
        rows = (chosen[:, None] * self.block + np.arange(self.block)).reshape(-1)
        rows = rows[rows < self.size]
        return np.random.default_rng([self.seed, epoch, part + 1]).permutation(rows)

    def locate(self, position: int) -> tuple[int, int]:
        """Pool number and offset inside it of the ``position``-th drawn row."""
        epoch, offset = divmod(position, self.size)
        starts = _pool_starts(self, epoch)
        part = int(np.searchsorted(starts, offset, side="right")) - 1
        return epoch * self.pools_per_epoch + part, offset - int(starts[part])

    def rows(self, position: int, count: int) -> IndexArray:
        """The rows drawn at ``position`` .. ``position + count - 1``."""
        pieces: list[IndexArray] = []
        while count > 0:
            number, offset = self.locate(position)
            piece = _cached_pool(self, number)[offset : offset + count]
            pieces.append(piece)
            position, count = position + len(piece), count - len(piece)
        return np.concatenate(pieces)


@lru_cache(maxsize=8)
def _block_order(order: BlockShuffle, epoch: int) -> IndexArray:
    return np.random.default_rng([order.seed, epoch, 0]).permutation(order.blocks)


@lru_cache(maxsize=8)
def _pool_starts(order: BlockShuffle, epoch: int) -> IndexArray:
    """Offset in the epoch at which each pool begins: the short last block may sit in any of them."""
    sizes = np.full(order.blocks, order.block)
    sizes[-1] = order.size - (order.blocks - 1) * order.block
    per_pool = np.add.reduceat(
        sizes[_block_order(order, epoch)], np.arange(0, order.blocks, order.pool_blocks)
    )
    return np.concatenate([[0], np.cumsum(per_pool)[:-1]])


@lru_cache(maxsize=8)
def _cached_pool(order: BlockShuffle, number: int) -> IndexArray:
    return order.pool(number)
