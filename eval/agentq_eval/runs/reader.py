"""Read a run: its plan, one result per episode that has ended, and every logged step. Needs no lock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agentq.errors import LogError
from agentq.trajectories.reader import TrajectoryReader
from agentq.types import Trajectory
from agentq_eval.episodes import EpisodeResult
from agentq_eval.runs.manifest import Manifest, read_manifest
from agentq_eval.runs.results import result_of, settle

LOG = "log"


class RunReader:
    """The run in ``folder``, finished or still going: what is there at the moment of each call.

    Raises ``EvaluationError`` where there is no run, ``LogError`` for logs of a newer version.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.manifest: Manifest = read_manifest(self.folder)

    @property
    def log(self) -> TrajectoryReader:
        """The trajectory log as it is now; ids as in ``Planned.id``."""
        return TrajectoryReader(self.folder / LOG)

    def attempts(self) -> Iterator[tuple[EpisodeResult, Trajectory]]:
        """Stream every logged attempt, those that infrastructure broke off included."""
        try:
            log = self.log
        except LogError:  # nothing has ended yet
            return
        for episode in log:
            yield result_of(episode.trajectory), episode.trajectory

    def results(self) -> list[EpisodeResult]:
        """One result per planned episode that has ended, in the order of their ends."""
        return settle(result for result, _ in self.attempts())

    def played(self) -> Iterator[tuple[EpisodeResult, Trajectory]]:
        """Stream the episodes whose outcome stands: without the attempts that infrastructure broke off."""
        for result, trajectory in self.attempts():
            if result.outcome != "infrastructure":
                yield result, trajectory
