from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentq.errors import FeatureError, TrainingError
from agentq.training.head_batches import PoolReader
from agentq.training.rows import FileRows, as_rows
from agentq.training.sources import BlockShuffle


@given(st.integers(1, 300), st.integers(0, 5), st.integers(1, 9), st.integers(1, 7))
def test_every_row_once_an_epoch(size: int, seed: int, block: int, pool_blocks: int) -> None:
    order = BlockShuffle(size, seed, block, pool_blocks)
    for epoch in range(2):
        assert sorted(order.rows(epoch * size, size).tolist()) == list(range(size))


@given(st.integers(1, 200), st.integers(0, 500), st.integers(1, 120))
def test_a_piece_of_the_stream_does_not_depend_on_how_it_is_cut(size: int, start: int, count: int) -> None:
    order = BlockShuffle(size, 1, block=4, pool_blocks=3)
    whole = order.rows(0, start + count)
    np.testing.assert_array_equal(order.rows(start, count), whole[start:])


def test_epochs_and_seeds_differ_and_rows_are_mixed() -> None:
    order = BlockShuffle(1000, 0, block=8, pool_blocks=16)
    first, second = order.rows(0, 1000), order.rows(1000, 1000)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, BlockShuffle(1000, 1, 8, 16).rows(0, 1000))
    assert np.abs(np.diff(first)).mean() > 250  # 333 for a complete shuffle, 1 for none
    with pytest.raises(TrainingError, match="0 rows"):
        BlockShuffle(0, 0)


@pytest.mark.parametrize("pool_blocks", [3, 1000])
def test_pool_reader_gives_the_rows_of_the_order(pool_blocks: int) -> None:
    order = BlockShuffle(100, 4, block=5, pool_blocks=pool_blocks)
    loads: list[int] = []

    def load(rows: np.ndarray) -> dict[str, np.ndarray]:
        loads.append(len(rows))
        return {"row": rows.copy(), "double": 2 * rows}

    reader = PoolReader(order, load)
    for position in (0, 7, 95, 100, 230, 40):
        found = reader.read(position, 30)
        np.testing.assert_array_equal(found["row"], order.rows(position, 30))
        np.testing.assert_array_equal(found["double"], 2 * found["row"])
    if pool_blocks == 1000:
        assert loads == [100]  # data that fits one pool is read once


def test_file_rows_equal_the_matrix(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("rows")
    matrix = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float16)
    np.save(folder / "m.npy", matrix)
    rows = np.array([3, 3, 499, 0, 250, 251, 252, 3])
    mapped = np.load(folder / "m.npy", mmap_mode="r")
    for source in (as_rows(mapped), as_rows(folder / "m.npy"), as_rows(matrix)):
        np.testing.assert_array_equal(source[rows], matrix[rows])
    assert isinstance(as_rows(mapped), FileRows)
    np.testing.assert_array_equal(as_rows(mapped[100:])[np.array([0, 7])], matrix[[100, 107]])
    assert as_rows(mapped)[np.zeros(0, int)].shape == (0, 3)


def test_cut_file_and_foreign_rows_are_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("rows") / "m.bin"
    np.zeros((10, 4), np.float32).tofile(path)
    with pytest.raises(FeatureError, match="holds no 11 x 4 float32 matrix"):
        FileRows(path, np.dtype(np.float32), (11, 4))
    rows = FileRows(path, np.dtype(np.float32), (10, 4))
    with pytest.raises(FeatureError, match=r"row 10 of .* it has 10 rows"):
        rows[np.array([1, 10])]
    with pytest.raises(FeatureError, match="row -1 of"):
        rows[np.array([-1])]
    path.write_bytes(b"")
    with pytest.raises(FeatureError, match="was cut while in use"):
        rows[np.array([5])]
