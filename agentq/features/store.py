"""Features on disk: shards of fixed-size rows, addressed by what they were computed from."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from agentq.errors import FeatureError
from agentq.features.key import FeatureKey, Ids, as_ids

STORE_VERSION = 1
_SHARD = re.compile(r"rows-(\d{12})\.npy")
#: Sorted by (high, low): the address of a row and its place in the shard.
_ENTRY = np.dtype([("high", "<u8"), ("low", "<u8"), ("row", "<u4")])

RowNumbers = NDArray[np.int64]


class FeatureStoreWarning(UserWarning):
    """A shard was incomplete and its rows have to be computed again."""


@dataclass(frozen=True, slots=True)
class _Shard:
    path: Path
    start: int  # number of its first row
    count: int

    @property
    def index(self) -> Path:
        return self.path.with_name(f"index-{self.start:012d}.npy")


class FeatureStore:
    """Rows of ``key.dtype`` in ``directory``, one folder per key; computed once, read by number or address.

    A shard is two ``.npy`` files, rows and index; the index is renamed into place last, so a shard is there
    as a whole or not at all, and ``flush`` (or a full buffer) makes it durable. Opening drops incomplete
    shards with a ``FeatureStoreWarning``; row numbers of complete ones never change. Files are mapped for the
    time of one call, so memory does not grow with the store. One process may append at a time, any number
    read. Raises ``FeatureError`` for a store of a newer version, another width, NaN or infinity, a full disk.
    """

    def __init__(self, directory: str | Path, key: FeatureKey, shard_bytes: int = 16 << 20) -> None:
        self.key = key
        self.directory = Path(directory) / key.digest[:16]
        self.dtype = np.dtype(key.dtype)
        self.shard_bytes = shard_bytes
        self.dropped: list[Path] = []
        self._shards: list[_Shard] = []
        self._width: int | None = None
        self._lock: FileLock | None = None
        self._pending: dict[bytes, int] = {}  # address -> place in the buffer
        self._buffer: list[NDArray[Any]] = []
        self._open()

    @property
    def shape(self) -> tuple[int, int]:
        """(row numbers in use, width); a dropped shard leaves a gap in the numbers. Width 0: unknown."""
        return self._end + len(self._buffer), self._width or 0

    def __len__(self) -> int:
        """Number of rows that can be read."""
        return sum(shard.count for shard in self._shards) + len(self._buffer)

    def __getitem__(self, rows: Any, /) -> NDArray[Any]:
        """The rows of an array of row numbers, in its order: (n,) -> (n, width)."""
        return self._gather(np.asarray(rows, dtype=np.int64).reshape(-1))

    def rows(self, ids: Sequence[bytes] | Ids) -> NDArray[Any]:
        """The rows of addresses, in their order: (n, width). Raises ``FeatureError`` for a missing one."""
        numbers = self.find(ids)
        if (numbers < 0).any():
            item = int(np.flatnonzero(numbers < 0)[0])
            raise FeatureError(
                f"item {item} ({as_ids(ids)[item].tobytes().hex()}) is not in {self.directory}; "
                f"{int((numbers < 0).sum())} of {len(numbers)} are missing. Compute them with extract_log."
            )
        return self._gather(numbers)

    def find(self, ids: Sequence[bytes] | Ids) -> RowNumbers:
        """Row numbers of addresses, (n,); -1 where there is none."""
        wanted = as_ids(ids)
        found = np.full(len(wanted), -1, dtype=np.int64)
        if self._pending:
            for item, address in enumerate(wanted):
                place = self._pending.get(address.tobytes())
                if place is not None:
                    found[item] = self._end + place
        for shard in reversed(self._shards):
            open_items = np.flatnonzero(found < 0)
            if not len(open_items):
                break
            place = _search(np.load(shard.index, mmap_mode="r", allow_pickle=False), wanted[open_items])
            hit = place >= 0
            found[open_items[hit]] = shard.start + place[hit]
        return found

    def missing(self, ids: Sequence[bytes] | Ids) -> RowNumbers:
        """Positions in ``ids`` of what has to be computed, each distinct address once, ascending."""
        wanted = as_ids(ids)
        open_items = np.flatnonzero(self.find(wanted) < 0)
        _, firsts = np.unique(wanted[open_items], axis=0, return_index=True)
        return open_items[np.sort(firsts)]

    def append(
        self,
        ids: Sequence[bytes] | Ids,
        rows: NDArray[Any],
        describe: Callable[[int], str] = "item {}".format,
    ) -> RowNumbers:
        """Add rows (n, width) and return their numbers; addresses that are there already keep their row.

        ``describe`` names an item in an error. Full shards are written at once, the rest by ``flush``.
        """
        wanted = as_ids(ids)
        if rows.ndim != 2 or len(rows) != len(wanted):
            raise FeatureError(f"rows are {rows.shape} for {len(wanted)} addresses, expected (n, width).")
        self._begin(rows.shape[1])
        converted = self._convert(rows, describe)
        known = self.find(wanted) >= 0
        for item in np.flatnonzero(~known):
            address = wanted[item].tobytes()
            if address not in self._pending:
                self._pending[address] = len(self._buffer)
                self._buffer.append(converted[item])
        numbers = self.find(wanted)
        if len(self._buffer) * converted.itemsize * converted.shape[1] >= self.shard_bytes:
            self.flush()
        return numbers

    def flush(self) -> None:
        """Write what is buffered as one shard and make it durable.

        Raises ``FeatureError`` when the disk refuses; what was flushed before stays readable, the buffer
        stays.
        """
        if not self._buffer:
            return
        shard = _Shard(self.directory / f"rows-{self._end:012d}.npy", self._end, len(self._buffer))
        try:
            _write_array(shard.path, np.stack(self._buffer))
            _write_array(shard.index, _index_of(list(self._pending)))
            _sync_directory(self.directory)
        except OSError as error:
            for path in (shard.index, shard.path):
                path.unlink(missing_ok=True)
            raise FeatureError(
                f"could not write {shard.count} rows to {shard.path}: {error}. Free disk space and flush "
                f"again; the {sum(s.count for s in self._shards)} rows before are safe."
            ) from error
        self._shards.append(shard)
        self._buffer, self._pending = [], {}

    def close(self) -> None:
        """Flush and let another process append."""
        try:
            self.flush()
        finally:
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _end(self) -> int:
        return max((shard.start + shard.count for shard in self._shards), default=0)

    def _open(self) -> None:
        description = self.directory / "store.json"
        if not description.exists():
            return
        try:
            stored = json.loads(description.read_text())
            version = int(stored["version"])
        except (ValueError, KeyError, TypeError) as error:
            raise FeatureError(
                f"{description} is no feature-store description ({error!r}). Delete {self.directory} and "
                "compute its features again."
            ) from error
        if version > STORE_VERSION:
            raise FeatureError(
                f"{self.directory} has feature-store version {version}, this AgentQ reads up to "
                f"{STORE_VERSION}. Upgrade: pip install --upgrade agentq"
            )
        self._width = stored["width"]
        self._load_shards()

    def _load_shards(self) -> None:
        self._shards, self.dropped = [], []
        for path in sorted(self.directory.iterdir()):
            match = _SHARD.fullmatch(path.name)
            if match is None:
                continue
            shard = _readable(path, int(match[1]), self._width or 0)
            if shard is None:
                self.dropped.append(path)
            else:
                self._shards.append(shard)
        if self.dropped:
            warnings.warn(
                f"feature store {self.directory}: incomplete shards {[p.name for p in self.dropped]} were "
                "dropped; their rows will be computed again.",
                FeatureStoreWarning,
                stacklevel=4,
            )

    def _begin(self, width: int) -> None:
        """Take the writer's lock, once, and fix the width of the rows."""
        if self._width not in (None, width):
            raise FeatureError(
                f"rows have width {width}, those in {self.directory} have {self._width}. "
                "Give each backbone, layer and pooling its own FeatureKey."
            )
        if self._lock is not None:
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        lock, owner = FileLock(self.directory / "writer.lock"), self.directory / "writer.pid"
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            pid = owner.read_text().strip() if owner.exists() else "unknown"
            raise FeatureError(
                f"features in {self.directory} are being written by process {pid}. Wait for it or stop it."
            ) from error
        self._lock = lock
        owner.write_text(f"{os.getpid()}\n")
        self._width = width
        content = {"version": STORE_VERSION, "width": width, "key": asdict(self.key)}
        with _replacing(self.directory / "store.json") as path:
            path.write_text(json.dumps(content, indent=1))
        self._load_shards()  # another process may have appended since this one opened the store
        whole = {shard.index for shard in self._shards}
        indices = [path for path in self.directory.glob("index-*.npy") if path not in whole]
        for leftover in [*indices, *self.dropped, *self.directory.glob("*.tmp")]:
            leftover.unlink(missing_ok=True)  # an index first: it must never meet other rows

    def _convert(self, rows: NDArray[Any], describe: Callable[[int], str]) -> NDArray[Any]:
        with np.errstate(over="ignore"):
            converted = rows.astype(self.dtype)
        finite = np.isfinite(converted).all(axis=1)
        if not finite.all():
            item = int(np.flatnonzero(~finite)[0])
            overflow = bool(np.isfinite(rows[item]).all())
            reason = f"overflow {self.dtype}" if overflow else "hold NaN or infinity"
            advice = "Store float32." if overflow else "Load the backbone in float32 or bfloat16."
            raise FeatureError(f"features of {describe(item)} {reason}. {advice}")
        return converted

    def _gather(self, numbers: RowNumbers) -> NDArray[Any]:
        gathered = np.empty((len(numbers), self._width or 0), dtype=self.dtype)
        if not len(numbers):
            return gathered
        starts = np.array([shard.start for shard in self._shards] or [0], dtype=np.int64)
        place = np.searchsorted(starts, numbers, side="right") - 1
        done = np.zeros(len(numbers), dtype=np.bool_)
        for number in np.unique(place[(numbers >= 0) & (numbers < self._end)]):
            shard = self._shards[number]
            inside = (place == number) & (numbers < shard.start + shard.count)
            if inside.any():
                # mapped for this call only: a mapping kept open would count every touched page as memory
                mapped = np.load(shard.path, mmap_mode="r", allow_pickle=False)
                gathered[inside] = mapped[numbers[inside] - shard.start]
                done |= inside
        for item in np.flatnonzero(~done):
            buffered = int(numbers[item]) - self._end
            if not 0 <= buffered < len(self._buffer):
                raise FeatureError(
                    f"row {int(numbers[item])} is not in {self.directory} ({len(self)} rows). "
                    "The row numbers belong to another store, or the shard was dropped; run extract_log "
                    "again."
                )
            gathered[item] = self._buffer[buffered]
        return gathered


def _index_of(addresses: list[bytes]) -> NDArray[Any]:
    entries = np.empty(len(addresses), dtype=_ENTRY)
    words = as_ids(addresses)
    entries["high"], entries["low"], entries["row"] = words[:, 0], words[:, 1], np.arange(len(addresses))
    return entries[np.lexsort((entries["low"], entries["high"]))]


def _search(index: NDArray[Any], wanted: Ids) -> RowNumbers:
    """Places of addresses in a sorted index, -1 where absent."""
    high, low = np.asarray(index["high"]), index["low"]
    place = np.searchsorted(high, wanted[:, 0], side="left")
    found = np.full(len(wanted), -1, dtype=np.int64)
    active = np.arange(len(wanted))
    while len(active):  # once, unless two addresses share their first 64 bits
        active = active[place[active] < len(high)]
        active = active[high[place[active]] == wanted[active, 0]]
        equal = low[place[active]] == wanted[active, 1]
        hit = active[equal]
        found[hit] = index["row"][place[hit]]
        active = active[~equal]
        place[active] += 1
    return found


def _readable(path: Path, start: int, width: int) -> _Shard | None:
    """The shard behind ``path`` when both of its files are whole, else None."""
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
        index = np.load(_Shard(path, start, 0).index, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    fits = rows.ndim == 2 and rows.shape[1] == width and index.dtype == _ENTRY and len(index) == len(rows)
    return _Shard(path, start, len(rows)) if fits else None


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary path that takes the place of ``path``, durably, when the block ends well."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_array(path: Path, array: NDArray[Any]) -> None:
    with _replacing(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


def _sync_directory(directory: Path) -> None:
    if os.name != "posix":
        return
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
