"""Append episodes to a log: one write and one fsync per episode, one writer at a time."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout

from agentq.errors import LogError
from agentq.trajectories.schema import end_row, episode_row, schema_row, step_row
from agentq.trajectories.shards import (
    Damage,
    LogDamageWarning,
    encode_block,
    encode_row,
    list_shards,
    scan,
    shard_path,
)
from agentq.types import Trajectory


@dataclass(frozen=True, slots=True)
class Repair:
    """A torn tail that was cut off when the log was opened for writing."""

    shard: Path
    kept: int  # bytes left in the shard
    cut: int  # bytes moved to ``torn``
    torn: Path  # side file with the cut bytes
    reason: str
    episodes: tuple[str, ...]  # ids that can still be made out in the cut bytes

    def __str__(self) -> str:
        who = f" of episode {', '.join(map(repr, self.episodes))}" if self.episodes else ""
        return f"{self.shard.name}: {self.cut} bytes{who} moved to {self.torn.name} ({self.reason})"


class TrajectoryWriter:
    """Appends trajectories to the log in ``directory``; a kill at any byte loses only the one being written.

    Opening repairs a torn tail: the shard is cut to its last complete episode, the cut bytes stay in a
    ``*.torn`` file beside it, and ``repair`` and a ``LogDamageWarning`` tell. Damage elsewhere is left as it
    is, listed in ``damages`` and warned about. Raises ``LogError`` when another process writes the log, when
    it comes from a newer version, and when the disk refuses a write (the log then ends before that episode).
    """

    def __init__(self, directory: str | Path, max_shard_bytes: int = 256 << 20) -> None:
        self.directory = Path(directory)
        self.max_shard_bytes = max_shard_bytes
        self.repair: Repair | None = None
        self.damages: list[Damage] = []
        self._episodes: set[str] = set()
        self._fd = -1
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.directory / "writer.lock")
        self._acquire()
        try:
            self._open_last_shard()
        except BaseException:
            self.close()
            raise

    @property
    def episodes(self) -> frozenset[str]:
        """Ids of all complete episodes in the log, those of earlier writers included."""
        return frozenset(self._episodes)

    def __len__(self) -> int:
        return len(self._episodes)

    def __contains__(self, episode: object) -> bool:
        return episode in self._episodes

    def write(self, trajectory: Trajectory, episode: str | None = None) -> str:
        """Append one episode durably and return its id (default: the number of episodes before it).

        Raises ``LogError`` for an id that is already there, values that cannot be stored, or a failed write.
        """
        if self._fd < 0:
            raise LogError(f"log {self.directory} is closed for writing. Open a new TrajectoryWriter.")
        name = str(len(self._episodes)) if episode is None else episode
        if not name or name in self._episodes:
            raise LogError(
                f"episode id {name!r} is empty or already in log {self.directory}. "
                "Skip episodes that `id in writer` reports when resuming, or give another id."
            )
        rows = [
            episode_row(name, trajectory),
            *(step_row(name, index, trajectory) for index in range(len(trajectory.steps))),
            end_row(name, trajectory),
        ]
        block = encode_block(rows)
        if self._size > self._schema_size and self._size + len(block) > self.max_shard_bytes:
            self._start_shard(self._number + 1)
        self._append(block, f"episode {name!r}")
        self._episodes.add(name)
        return name

    def close(self) -> None:
        """Release the file and the lock; closing twice is fine."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _acquire(self) -> None:
        owner = self.directory / "writer.pid"
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            pid = owner.read_text().strip() if owner.exists() else "unknown"
            raise LogError(
                f"log {self.directory} is being written by process {pid}. "
                "Wait for it, stop it, or write to another folder."
            ) from error
        owner.write_text(f"{os.getpid()}\n")

    def _open_last_shard(self) -> None:
        shards = list_shards(self.directory)
        for shard in shards:
            self._inspect(shard, last=shard == shards[-1])
        for damage in self.damages:
            warnings.warn(f"damaged log: {damage}", LogDamageWarning, stacklevel=4)
        number = int(shards[-1].stem.removeprefix("shard-")) if shards else 0
        self._start_shard(number)

    def _inspect(self, shard: Path, last: bool) -> None:
        with shard.open("rb") as file:
            for found in scan(shard, file):
                if isinstance(found, Damage):
                    self.damages.append(found)
                elif found.episode in self._episodes:
                    raise LogError(
                        f"{shard}: episode {found.episode!r} is in the log twice. Remove one copy."
                    )
                else:
                    self._episodes.add(found.episode)
        if last and self.damages and self.damages[-1].shard == shard and self.damages[-1].torn:
            self._cut(self.damages.pop())

    def _cut(self, damage: Damage) -> None:
        copies = (damage.shard.with_name(f"{damage.shard.name}.{i}.torn") for i in range(1 << 30))
        torn = next(path for path in copies if not path.exists())
        try:
            with damage.shard.open("r+b") as file, torn.open("wb") as side:
                file.seek(damage.offset)
                side.write(file.read())
                side.flush()
                os.fsync(side.fileno())
                file.truncate(damage.offset)
                os.fsync(file.fileno())
        except OSError as error:
            raise LogError(
                f"could not move the torn tail ({damage}) to {torn}: {error}. Free disk space and try again; "
                "the complete episodes stay readable."
            ) from error
        self.repair = Repair(damage.shard, damage.offset, damage.size, torn, damage.reason, damage.episodes)
        warnings.warn(f"repaired log: {self.repair}", LogDamageWarning, stacklevel=6)

    def _start_shard(self, number: int) -> None:
        """Open shard ``number`` for appending; an empty one receives its schema row first."""
        path = shard_path(self.directory, number)
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
        except OSError as error:
            raise LogError(f"cannot open {path} for writing: {error}.") from error
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._number, self._size = fd, number, os.fstat(fd).st_size
        schema = encode_row(schema_row())
        self._schema_size = len(schema)
        if self._size == 0:
            self._append(schema, "the schema row")
            _sync_directory(self.directory)

    def _append(self, data: bytes, what: str) -> None:
        try:
            rest = memoryview(data)
            while rest:  # one write, unless a signal or a nearly full disk cuts it short
                rest = rest[os.write(self._fd, rest) :]
            os.fsync(self._fd)
        except OSError as error:
            self._roll_back()
            raise LogError(
                f"could not write {what} ({len(data)} bytes) to {shard_path(self.directory, self._number)}: "
                f"{error}. Free disk space; the log is intact up to the episode before."
            ) from error
        self._size += len(data)

    def _roll_back(self) -> None:
        try:
            os.ftruncate(self._fd, self._size)
            os.fsync(self._fd)
        except OSError:  # the next writer cuts the tail instead; this one must not append after it
            os.close(self._fd)
            self._fd = -1


def _sync_directory(directory: Path) -> None:
    """Make a new file's name durable (POSIX only; elsewhere the file system does it)."""
    if os.name != "posix":
        return
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
