"""The bytes of a log: shard files, episode blocks with a checksum, and what is damaged in them."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from agentq.trajectories.schema import Row, check_version

_SHARD = re.compile(r"shard-(\d{5,})\.jsonl")
_RECORD = re.compile(rb'\{"record":"(schema|episode|step|end)",')
_CHECKSUM = b',"crc32":'


class LogDamageWarning(UserWarning):
    """Bytes of a log belong to no complete episode."""


@dataclass(frozen=True, slots=True)
class Block:
    """One complete episode in a shard: bytes ``[offset, offset + size)`` with a matching checksum."""

    shard: Path
    offset: int
    size: int
    episode: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes ``[offset, offset + size)`` of a shard that belong to no complete episode."""

    shard: Path
    offset: int
    size: int
    reason: str
    torn: bool  # reaches the end of the file, as an interrupted write does
    episodes: tuple[str, ...] = ()  # ids that can still be made out

    def __str__(self) -> str:
        who = f" (episodes {', '.join(map(repr, self.episodes))})" if self.episodes else ""
        return f"{self.shard.name}, bytes {self.offset} to {self.offset + self.size}{who}: {self.reason}"


def shard_path(directory: Path, number: int) -> Path:
    """The file of shard ``number``."""
    return directory / f"shard-{number:05d}.jsonl"


def list_shards(directory: Path) -> list[Path]:
    """All shard files of a log in writing order."""
    found = [(int(match[1]), path) for path in directory.iterdir() if (match := _SHARD.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def encode_row(row: Row) -> bytes:
    """One JSON line."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def encode_block(rows: Sequence[Row]) -> bytes:
    """The lines of one episode; the last row receives the CRC-32 of every byte before its value."""
    body = b"".join(encode_row(row) for row in rows)[:-2] + _CHECKSUM  # without the closing "}\n"
    return body + b"%d}\n" % zlib.crc32(body)


def decode_block(data: bytes) -> list[Row]:
    """The rows of one complete episode, its ``end`` row included."""
    return [json.loads(line) for line in data.split(b"\n") if line]


def scan(shard: Path, file: Iterable[bytes]) -> Iterator[Block | Damage]:
    """Complete episodes and damaged stretches of a shard in order; together with schema rows they cover it.

    Raises ``LogError`` when a row comes from a newer schema version. Memory: one episode.
    """
    return _Scan(shard).run(file)


class _Scan:
    """The state of one pass: lines since the last complete episode, and what was wrong in them."""

    def __init__(self, shard: Path) -> None:
        self.shard = shard
        self.offset = 0  # of the first pending line
        self.lines: list[bytes] = []
        self.problem: str | None = None

    def run(self, lines: Iterable[bytes]) -> Iterator[Block | Damage]:
        for line in lines:
            match = _RECORD.match(line)
            record = match[1] if match and line.endswith(b"\n") else None
            if record == b"schema" and not self.lines and self._is_schema(line):
                self.offset += len(line)
                continue
            if record == b"episode" and self.lines and not self.problem:
                self.problem = "episode without an end row"
            if record == b"episode" and self.lines:
                yield self._damage(torn=False)
            if record is None or (record != b"episode" and not self.lines):
                self.problem = self.problem or "a line that belongs to no episode"
            self.lines.append(line)
            if record == b"end" and not self.problem:
                block = self._close(line)
                if block is not None:
                    yield block
        if self.lines:
            self.problem = self.problem or "the last episode has no end row"
            yield self._damage(torn=True)

    def _is_schema(self, line: bytes) -> bool:
        row = _parse(line)
        if row is None:
            return False
        check_version(row, str(self.shard))
        return True

    def _close(self, line: bytes) -> Block | None:
        data = b"".join(self.lines)
        body, found, tail = data.rpartition(_CHECKSUM)
        row = _parse(line)
        if not found or row is None or tail != b"%d}\n" % zlib.crc32(body + found):
            self.problem = "checksum does not match"
            return None
        head = json.loads(self.lines[0])
        check_version(head, f"{self.shard}: episode {head['episode']!r}")
        block = Block(self.shard, self.offset, len(data), head["episode"], data)
        self._advance(len(data))
        return block

    def _damage(self, torn: bool) -> Damage:
        size = sum(len(line) for line in self.lines)
        names = dict.fromkeys(name for line in self.lines if (name := _episode_of(line)) is not None)
        damage = Damage(self.shard, self.offset, size, str(self.problem), torn, tuple(names))
        self._advance(size)
        return damage

    def _advance(self, size: int) -> None:
        self.offset += size
        self.lines.clear()
        self.problem = None


def _parse(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return cast(Row, row) if isinstance(row, dict) else None


def _episode_of(line: bytes) -> str | None:
    row = _parse(line)
    name = row.get("episode") if row else None
    return name if isinstance(name, str) and name else None
