"""Read a log: stream episodes and steps, or fetch one episode by its id; damage is reported, never hidden."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agentq.errors import LogError
from agentq.trajectories.schema import read_episode
from agentq.trajectories.shards import Block, Damage, LogDamageWarning, decode_block, list_shards, scan
from agentq.types import Step, Trajectory


@dataclass(frozen=True, slots=True)
class Episode:
    """A logged trajectory and its id."""

    id: str
    trajectory: Trajectory


@dataclass(frozen=True, slots=True)
class LoggedStep:
    """A step with where it comes from."""

    episode: str
    index: int  # of the step in its episode, from 0
    task: str
    seed: int
    step: Step


@dataclass(frozen=True, slots=True)
class _Place:
    shard: Path
    offset: int
    size: int


class TrajectoryReader:
    """The complete episodes of the log in ``directory``, in writing order.

    Iteration streams (memory: one episode); ``len``, ``ids``, ``damages`` and access by id share an index
    that the first use builds in one pass. Damaged stretches are skipped with a ``LogDamageWarning`` and
    listed in ``damages``. The reader changes nothing and needs no lock. Raises ``LogError`` when there is no
    log, when it was written by a newer version, or for an unknown id.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        if not self.directory.is_dir() or not list_shards(self.directory):
            raise LogError(
                f"no trajectory log in {self.directory}: expected a folder with shard-00000.jsonl. "
                "Write one with TrajectoryWriter, or check the path."
            )
        self._index: dict[str, _Place] | None = None
        self._damages: list[Damage] = []
        self._warned: set[tuple[Path, int, int]] = set()

    def __len__(self) -> int:
        return len(self._build_index())

    def __contains__(self, episode: object) -> bool:
        return episode in self._build_index()

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the complete episodes in writing order."""
        return tuple(self._build_index())

    @property
    def damages(self) -> tuple[Damage, ...]:
        """Every stretch of bytes that belongs to no complete episode; a torn tail has ``torn`` set."""
        self._build_index()
        return tuple(self._damages)

    def __getitem__(self, episode: str) -> Trajectory:
        place = self._build_index().get(episode)
        if place is None:
            raise LogError(
                f"episode {episode!r} is not among the {len(self)} complete episodes of {self.directory}. "
                "See `reader.ids`, and `reader.damages` for what was lost."
            )
        with place.shard.open("rb") as file:
            file.seek(place.offset)
            return read_episode(decode_block(file.read(place.size))[:-1])

    def __iter__(self) -> Iterator[Episode]:
        return self.episodes()

    def episodes(self) -> Iterator[Episode]:
        """Stream the complete episodes."""
        for found in self._scan():
            if isinstance(found, Block):
                yield Episode(found.episode, read_episode(decode_block(found.data)[:-1]))

    def steps(self) -> Iterator[LoggedStep]:
        """Stream the steps of all complete episodes."""
        for episode in self.episodes():
            trajectory = episode.trajectory
            for index, step in enumerate(trajectory.steps):
                yield LoggedStep(episode.id, index, trajectory.task, trajectory.seed, step)

    def _scan(self) -> Iterator[Block | Damage]:
        for shard in list_shards(self.directory):
            with shard.open("rb") as file:
                for found in scan(shard, file):
                    if isinstance(found, Damage):
                        self._warn(found)
                    yield found

    def _warn(self, damage: Damage) -> None:
        key = (damage.shard, damage.offset, damage.size)
        if key not in self._warned:
            self._warned.add(key)
            kind = "torn tail" if damage.torn else "damaged log"
            warnings.warn(f"{kind} skipped: {damage}", LogDamageWarning, stacklevel=4)

    def _build_index(self) -> dict[str, _Place]:
        if self._index is not None:
            return self._index
        index: dict[str, _Place] = {}
        damages: list[Damage] = []
        for found in self._scan():
            if isinstance(found, Damage):
                damages.append(found)
            elif found.episode in index:
                raise LogError(
                    f"{found.shard}: episode {found.episode!r} is in the log twice. Remove one copy."
                )
            else:
                index[found.episode] = _Place(found.shard, found.offset, found.size)
        self._index, self._damages = index, damages
        return index
