"""Rows of matrices that may be larger than memory, gathered without leaving pages behind.

A memory-mapped file counts in a process's resident memory as soon as its pages were touched; a pass over
it looks like a leak. Rows are therefore read with ``pread`` into buffers of their own.
"""

from __future__ import annotations

import mmap
import os
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agentq.errors import FeatureError

_MAX_GAP = 8  # unwanted rows read along rather than starting another read


class Rows(Protocol):
    """A matrix read by row numbers: numpy arrays, memory maps, ``FileRows``, feature stores."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, dims)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the elements."""
        ...

    def __getitem__(self, rows: Any, /) -> NDArray[Any]:
        """The rows of an index array, in its order: (n,) -> (n, dims)."""
        ...


class FileRows:
    """Rows of a C-ordered matrix in a file (raw, or ``.npy`` through ``as_rows``), read with ``pread``."""

    def __init__(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, int], offset: int = 0) -> None:
        self.path, self.dtype, self.shape, self.offset = Path(path), np.dtype(dtype), shape, offset
        needed = offset + shape[0] * shape[1] * self.dtype.itemsize
        if not self.path.is_file() or self.path.stat().st_size < needed:
            raise FeatureError(
                f"{path} holds no {shape[0]} x {shape[1]} {self.dtype} matrix: {needed} bytes expected. "
                "The file is missing or was cut; compute the features again."
            )

    @cached_property
    def _descriptor(self) -> int:
        return os.open(self.path, os.O_RDONLY)

    def __getstate__(self) -> dict[str, Any]:  # a file descriptor belongs to one process
        return {k: v for k, v in self.__dict__.items() if k != "_descriptor"}

    def __del__(self) -> None:
        if "_descriptor" in self.__dict__:
            os.close(self._descriptor)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any, /) -> NDArray[Any]:
        wanted = np.asarray(rows, dtype=np.int64).reshape(-1)
        found = np.empty((len(wanted), self.shape[1]), self.dtype)
        if not len(wanted):
            return found
        order = np.argsort(wanted, kind="stable")
        ascending = wanted[order]
        if ascending[0] < 0 or ascending[-1] >= self.shape[0]:
            raise FeatureError(
                f"row {ascending[0] if ascending[0] < 0 else ascending[-1]} of {self.path}: it has "
                f"{self.shape[0]} rows. The index belongs to other features."
            )
        cuts = np.flatnonzero(np.diff(ascending) > _MAX_GAP) + 1
        bounds = [0, *cuts.tolist(), len(ascending)]
        for start, end in pairwise(bounds):
            first, last = int(ascending[start]), int(ascending[end - 1])
            found[order[start:end]] = self._read(first, last + 1)[ascending[start:end] - first]
        return found

    def _read(self, start: int, end: int) -> NDArray[Any]:
        width = self.shape[1] * self.dtype.itemsize
        buffer = np.empty((end - start, self.shape[1]), self.dtype)
        view, done = buffer.data.cast("B"), 0
        while done < len(view):
            got = os.preadv(self._descriptor, [view[done:]], self.offset + start * width + done)
            if got == 0:
                raise FeatureError(f"{self.path} ended at row {start}: it was cut while in use.")
            done += got
        return buffer


class JoinedRows:
    """Rows of one matrix, picked by number, with columns of their own behind: (n, D) and (n, P) -> (n, D + P)."""

    def __init__(self, rows: Rows, numbers: NDArray[np.int64], columns: NDArray[np.float32]) -> None:
        self._rows, self._numbers, self._columns = as_rows(rows), numbers, columns
        self.shape = (len(numbers), int(rows.shape[1]) + columns.shape[1])
        self.dtype = np.dtype(np.float32)

    def __getitem__(self, rows: Any, /) -> NDArray[Any]:
        wanted = np.asarray(rows, dtype=np.int64).reshape(-1)
        left = np.asarray(self._rows[self._numbers[wanted]], dtype=np.float32)
        return np.concatenate([left, self._columns[wanted]], axis=1)


def as_rows(matrix: Any) -> Rows:
    """``matrix`` for reading by rows: a memory map becomes ``FileRows``; a path must be a ``.npy`` file."""
    if isinstance(matrix, (str, Path)):
        matrix = np.load(matrix, mmap_mode="r", allow_pickle=False)
    if isinstance(matrix, np.memmap) and matrix.flags.c_contiguous and matrix.ndim == 2:
        return FileRows(Path(str(matrix.filename)), matrix.dtype, matrix.shape, _file_offset(matrix))
    return matrix


def _file_offset(array: np.memmap[Any, Any]) -> int:
    """Byte at which a memory-mapped array begins in its file; slices keep their parent's ``offset``."""
    whole: Any = array._mmap  # type: ignore[attr-defined]  # no public name for the mapping
    mapped = np.frombuffer(whole, np.uint8).__array_interface__["data"][0]
    page_start = array.offset - array.offset % mmap.ALLOCATIONGRANULARITY
    return page_start + array.__array_interface__["data"][0] - mapped
