"""The episodes behind a report, aligned between arms, with one bootstrap per set of episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentq.errors import EvaluationError
from agentq_eval.episodes import Cells, EpisodeResult
from agentq_eval.reports.accounting import Pair
from agentq_eval.reports.settings import ArmKey, ReportSettings
from agentq_eval.statistics import TaskBootstrap


@dataclass(frozen=True, slots=True)
class Shared:
    """Episodes that several arms have in common, in the same order in each; never empty."""

    bootstrap: TaskBootstrap
    cells: tuple[Sequence[EpisodeResult], ...]

    @property
    def tasks(self) -> list[str]:
        """(E,) the task of each episode."""
        return [result.task for result in self.cells[0]]

    def scores(self, index: int) -> list[float]:
        """(E,) scores of one arm."""
        return [result.score for result in self.cells[index]]

    def successes(self, index: int) -> list[float]:
        """(E,) 1.0 for each success of one arm."""
        return [float(result.success) for result in self.cells[index]]


#: Drawn weights that a bootstrap may hold: 10,000 resamples of 2,000 tasks; fewer resamples for more tasks.
MOST_WEIGHTS = 20_000_000


def repetitions_for(tasks: int, wanted: int) -> int:
    """How many resamples are drawn of so many tasks: as wanted, at least 1,000, within ``MOST_WEIGHTS``."""
    return min(wanted, max(1000, MOST_WEIGHTS // max(tasks, 1)))


class Cohort:
    """Countable episodes by arm. While a run is going arms have different ones; comparisons take the shared."""

    def __init__(
        self, cells: Cells, settings: ReportSettings, strata: Mapping[str, str] | None = None
    ) -> None:
        self.cells = cells
        self._settings = settings
        self._strata = strata or {}
        self._by_pair = {
            key: {(result.task, result.seed): result for result in cell} for key, cell in cells.items()
        }
        self._bootstraps: dict[tuple[Pair, ...], TaskBootstrap] = {}

    @property
    def pairs(self) -> list[Pair]:
        """Every (task, seed) that some arm has, sorted."""
        return sorted({pair for pairs in self._by_pair.values() for pair in pairs})

    def shared(self, *keys: ArmKey) -> Shared | None:
        """What all these arms have played; None where that is nothing."""
        first, *others = (self._by_pair[key] for key in keys)
        pairs = tuple(sorted(pair for pair in first if all(pair in other for other in others)))
        if not pairs:
            return None
        cells = tuple([self._by_pair[key][pair] for pair in pairs] for key in keys)
        return Shared(self._bootstrap(pairs), cells)

    def of(self, key: ArmKey) -> Shared:
        """One arm's episodes."""
        shared = self.shared(key)
        if shared is None:
            raise EvaluationError(f"arm {key} has no episodes.")
        return shared

    def _bootstrap(self, pairs: tuple[Pair, ...]) -> TaskBootstrap:
        if pairs not in self._bootstraps:
            tasks = [task for task, _ in pairs]
            self._bootstraps[pairs] = TaskBootstrap(
                tasks,
                strata=[self._strata[task] for task in tasks] if self._strata else None,
                repetitions=repetitions_for(len(set(tasks)), self._settings.repetitions),
                seed=self._settings.seed,
                confidence=self._settings.confidence,
            )
        return self._bootstraps[pairs]
