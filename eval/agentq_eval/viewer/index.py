"""Where every episode of a log is, found without reading its steps; only new bytes are looked at again."""

from __future__ import annotations

import json
import mmap
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agentq.errors import LogError
from agentq.trajectories.schema import check_version, read_episode
from agentq.trajectories.shards import Block, Damage, decode_block, list_shards, scan
from agentq.types import Trajectory

_EPISODE = b'{"record":"episode",'
_END = b'\n{"record":"end",'
_SUCCESS = b'\\"success\\": true'  # in the JSON text of a step's info
_TRUNCATED = b'"truncated":true'


@dataclass(frozen=True, slots=True)
class Entry:
    """An episode in the list."""

    id: str
    task: str
    seed: int
    arm: str  # name@n; "" in a log that is no run's
    outcome: str
    steps: int
    score: float | None
    success: bool
    truncated: bool
    attempt: int
    error: str


@dataclass(frozen=True, slots=True)
class _Place:
    shard: Path
    offset: int
    size: int


class LogIndex:
    """The episodes of the log in ``directory``, in writing order; ``refresh`` adds what was appended since.

    Rows of steps are skipped by their line breaks, and checksums are looked at when an episode is opened. Raises
    ``LogError`` for a log of a newer version.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.entries: list[Entry] = []
        self._places: list[_Place] = []
        self._numbers: dict[str, int] = {}
        self._read: dict[Path, int] = {}  # bytes of each shard that are indexed

    def refresh(self) -> None:
        """Index what was appended."""
        if not self.directory.is_dir():
            return
        for shard in list_shards(self.directory):
            done, size = self._read.get(shard, 0), shard.stat().st_size
            if size < done:  # repaired by a new writer, or another log: begin again
                self.__init__(self.directory)
                self.refresh()
                return
            if size > done:
                with shard.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    self._read[shard] = self._scan(shard, data, done)

    def trajectory(self, episode: str) -> Trajectory:
        """One episode, its checksum verified. Raises ``LogError`` when it is unknown or damaged."""
        if episode not in self._numbers:
            self.refresh()
        if episode not in self._numbers:
            raise LogError(f"episode {episode!r} is not in {self.directory.name}. Go back to the list.")
        place = self._places[self._numbers[episode]]
        with place.shard.open("rb") as file:
            file.seek(place.offset)
            lines = file.read(place.size).splitlines(keepends=True)
        found = list(scan(place.shard, lines))
        if len(found) != 1 or not isinstance(found[0], Block):
            raise LogError(f"episode {episode!r} is damaged: its checksum does not match.")
        return read_episode(decode_block(found[0].data)[:-1])

    def notices(self) -> list[str]:
        """What of the log belongs to no complete episode; a tail may just be being written."""
        texts: list[str] = []
        for shard, done in self._read.items():
            rest = shard.stat().st_size - done
            if rest > 0:
                texts.append(f"{shard.name}: {rest:,} bytes at the end belong to no complete episode (yet)")
        return texts

    def damages(self) -> list[Damage]:
        """Every damaged stretch; reads the whole log."""
        found: list[Damage] = []
        for shard in list_shards(self.directory):
            with shard.open("rb") as file:
                found += [item for item in scan(shard, file) if isinstance(item, Damage)]
        return found

    def _scan(self, shard: Path, data: mmap.mmap, start: int) -> int:
        """Index complete episodes from ``start``; returns where the first incomplete one begins."""
        while True:
            if data[start : start + len(_EPISODE)] != _EPISODE:  # schema row, or damage: skip the line
                line = data.find(b"\n", start)
                if line < 0:
                    return start
                start = line + 1
                continue
            end = data.find(_END, start)
            stop = data.find(b"\n", end + 1) + 1 if end >= 0 else 0
            following = data.find(b"\n" + _EPISODE, start)
            if 0 <= following < end or (following >= 0 and not stop):  # it has no end row: torn inside
                start = following + 1
                continue
            if not stop:
                return start
            self._add(shard, data, start, end, stop)
            start = stop

    def _add(self, shard: Path, data: mmap.mmap, start: int, end: int, stop: int) -> None:
        try:
            head = json.loads(data[start : data.find(b"\n", start)])
            tail = json.loads(data[end + 1 : stop])
            about: dict[str, Any] = json.loads(head["metadata"])
        except (ValueError, KeyError, TypeError):
            return  # counted as damage when somebody asks
        check_version(head, shard.name)
        last = data.rfind(b"\n", start, end)
        outcome = str(about.get("outcome", "finished"))
        entry = Entry(
            id=head["episode"],
            task=head["task"],
            seed=head["seed"],
            arm=f"{about['arm']}@{about['n']}" if "arm" in about and "n" in about else "",
            outcome=outcome,
            steps=tail["steps"],
            score=tail["score"],
            success=data.find(_SUCCESS, start, end) >= 0,
            truncated=outcome == "finished" and data.find(_TRUNCATED, max(last, start), end) >= 0,
            attempt=int(about.get("attempt", 1)),
            error=str(about.get("error", "")),
        )
        self._numbers[entry.id] = len(self.entries)
        self.entries.append(entry)
        self._places.append(_Place(shard, start, stop - start))

    def rows(self, since: int) -> list[list[Any]]:
        """Entries from number ``since`` on as plain rows, in the order of ``Entry``'s fields."""
        return [list(asdict(entry).values()) for entry in self.entries[since:]]
