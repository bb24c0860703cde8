"""No episode disappears: what became of every planned one, and which of them count in comparisons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from agentq.errors import EvaluationError
from agentq_eval.episodes import Cells, EpisodeResult
from agentq_eval.reports.settings import ArmKey, Report, key_text
from agentq_eval.runs.manifest import Manifest

#: A task and a seed: what paired episodes share.
Pair = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Account:
    """What became of one arm's planned episodes."""

    planned: int
    finished: int
    failed: int
    timed_out: int
    infrastructure: int
    pending: int  # not played yet
    truncated: int  # of the finished: cut by the step limit
    retried: int  # episodes that took more than one attempt
    retries: int  # attempts besides the first, over all episodes
    left_out: int  # ended, but not compared: infrastructure lost this task and seed in another arm
    compared: int  # behind every mean

    def __post_init__(self) -> None:
        ended = self.finished + self.failed + self.timed_out + self.infrastructure
        if ended + self.pending != self.planned or self.pending < 0:
            raise EvaluationError(
                f"{self.planned} episodes were planned, but {self.finished} finished + {self.failed} failed + "
                f"{self.timed_out} timed out + {self.infrastructure} infrastructure + {self.pending} pending = "
                f"{ended + self.pending}. The log holds episodes of another plan: report it with its own run.json."
            )
        if self.compared + self.left_out != ended - self.infrastructure:
            raise EvaluationError(
                f"{self.compared} compared + {self.left_out} left out, of {ended - self.infrastructure} episodes "
                "that ended with a score."
            )

    def content(self) -> Report:
        """The counts by name."""
        return {name: getattr(self, name) for name in self.__slots__}


def planned_pairs(plan: Manifest) -> dict[ArmKey, set[Pair]]:
    """Every (task, seed) that the plan has for each arm."""
    pairs: dict[ArmKey, set[Pair]] = {(arm.name, arm.n): set() for arm in plan.arms}
    for episode in plan.episodes():
        pairs[episode.arm, episode.n].add((episode.task, episode.seed))
    return pairs


def check_planned(cells: Cells, planned: Mapping[ArmKey, set[Pair]]) -> None:
    """Refuse episodes that nobody planned, and episodes that are there twice."""
    for key, cell in cells.items():
        if key not in planned:
            raise EvaluationError(
                f"{len(cell)} episodes of the arm {key_text(key)!r}, which the plan does not have: it has "
                f"{', '.join(key_text(one) for one in planned)}."
            )
        (pair, count), *_ = Counter((result.task, result.seed) for result in cell).most_common(1)
        if count > 1:
            raise EvaluationError(
                f"arm {key_text(key)!r} has task {pair[0]!r}, seed {pair[1]} {count} times: expected once."
            )
        odd = sorted({(result.task, result.seed) for result in cell} - planned[key])
        if odd:
            raise EvaluationError(
                f"arm {key_text(key)!r} has task {odd[0][0]!r}, seed {odd[0][1]}, which the plan does not have."
            )


def lost_pairs(cells: Cells) -> set[Pair]:
    """Every (task, seed) that infrastructure lost in some arm.

    An arm that lost everything it played is not comparable at all and takes nothing from the others.
    """
    return {
        (result.task, result.seed)
        for cell in cells.values()
        if any(result.outcome != "infrastructure" for result in cell)
        for result in cell
        if result.outcome == "infrastructure"
    }


def counted(cells: Cells, lost: set[Pair]) -> Cells:
    """The episodes that means and comparisons are made of; arms without any are left out."""
    kept = {
        key: [r for r in cell if r.outcome != "infrastructure" and (r.task, r.seed) not in lost]
        for key, cell in cells.items()
    }
    return {key: cell for key, cell in kept.items() if cell}


def retried_as_failed(cells: Cells) -> Cells:
    """Every ended episode; those that infrastructure lost or broke off even once score 0.

    An upper bound on the harm of retrying: had none of them been tried again, or had all been the agent's
    fault, this is what would stand.
    """
    return {
        key: [replace(r, score=0.0, success=False) if was_retried(r) else r for r in cell]
        for key, cell in cells.items()
    }


def was_retried(result: EpisodeResult) -> bool:
    """Whether infrastructure broke this episode off at least once."""
    return result.attempts > 1 or result.outcome == "infrastructure"


def account(cell: Sequence[EpisodeResult], planned: int, compared: int) -> Account:
    """The account of one arm. Raises ``EvaluationError`` when it does not add up to ``planned``."""
    outcomes = Counter(result.outcome for result in cell)
    return Account(
        planned=planned,
        finished=outcomes["finished"],
        failed=outcomes["failed"],
        timed_out=outcomes["timed_out"],
        infrastructure=outcomes["infrastructure"],
        pending=planned - len(cell),
        truncated=sum(result.truncated for result in cell),
        retried=sum(result.attempts > 1 for result in cell),
        retries=sum(result.attempts - 1 for result in cell),
        left_out=len(cell) - outcomes["infrastructure"] - compared,
        compared=compared,
    )


def total(accounts: Iterable[Account]) -> Account:
    """The account of all arms together."""
    rows = list(accounts)
    return Account(**{name: sum(getattr(row, name) for row in rows) for name in Account.__slots__})
