"""How far a critic and selector agree with the choices of a log."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agentq.types import Decision, FloatArray
from agentq_eval.offline.weighing import executed
from agentq_eval.statistics import Estimate, TaskBootstrap


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of two decisions about the same candidates; intervals are clustered by task.

    In a state with one distinct valid action, or none, there is nothing to disagree about: only ``same_all``
    counts those.
    """

    decisions: int
    open: int  # of them, how many had at least two distinct valid actions
    same: Estimate  # share of the open ones with the same action
    same_all: Estimate  # share of all of them
    overlap: Estimate  # mean over open ones of sum_a min(p_logged(a), p_new(a)): whatever is drawn
    spearman: Estimate  # mean rank correlation of logged and new values within a state
    ranked: int  # states in which that is defined: neither critic values all actions the same


class AgreementTally:
    """Collects pairs of decisions; memory: some numbers per decision."""

    def __init__(self) -> None:
        self._tasks: list[str] = []
        self._same: list[bool] = []
        self._open: list[bool] = []
        self._overlap: list[float] = []
        self._spearman: list[float] = []  # NaN: undefined

    def add(self, task: str, logged: Decision, new: Decision) -> None:
        """Count one state."""
        valid = {candidate.action for candidate in logged.candidates if candidate.valid}
        self._tasks.append(task)
        self._same.append(executed(logged.chosen) == executed(new.chosen))
        self._open.append(len(valid) >= 2)
        self._overlap.append(_overlap(logged, new))
        self._spearman.append(rank_agreement(logged, new))

    def merge(self, other: AgreementTally) -> None:
        """Count what another tally has."""
        for name in vars(self):
            getattr(self, name).extend(getattr(other, name))

    def result(self, repetitions: int = 2000) -> Agreement:
        """The shares with their intervals."""
        tasks = np.asarray(self._tasks, dtype=np.str_)
        same = np.asarray(self._same, dtype=np.float64)
        chosen = np.asarray(self._open, dtype=np.bool_)
        spearman = np.asarray(self._spearman, dtype=np.float64)
        ranked = np.isfinite(spearman)

        def over(rows: np.ndarray) -> TaskBootstrap:
            return TaskBootstrap(tasks[rows].tolist(), repetitions=repetitions)

        on_open = over(chosen)
        return Agreement(
            decisions=len(same),
            open=int(chosen.sum()),
            same=on_open.rate(same[chosen]),
            same_all=over(np.ones_like(chosen)).rate(same),
            overlap=on_open.mean(np.asarray(self._overlap)[chosen]),
            spearman=over(ranked).mean(spearman[ranked]),
            ranked=int(ranked.sum()),
        )


def rank_agreement(logged: Decision, new: Decision) -> float:
    """Spearman's rank correlation of the values of the distinct valid actions, ties at their mean rank.

    NaN where fewer than two actions are valued by both, or one critic values all the same.
    """
    firsts = {executed(candidate): i for i, candidate in reversed(list(enumerate(logged.candidates)))}
    rows = [i for i in firsts.values() if np.isfinite(logged.q[i]) and np.isfinite(new.q[i])]
    if len(rows) < 2:
        return float("nan")
    before, after = _ranks(logged.q[rows]), _ranks(new.q[rows])
    spread = float(before.std() * after.std())
    if spread == 0:
        return float("nan")
    return float(((before - before.mean()) * (after - after.mean())).mean()) / spread


def _ranks(values: FloatArray) -> FloatArray:
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    return ((last - (sizes - 1) / 2)[group]).astype(np.float64)


def _overlap(logged: Decision, new: Decision) -> float:
    shares: dict[tuple[bool, str], list[float]] = {}
    for candidate, p, r in zip(
        logged.candidates, logged.probabilities.tolist(), new.probabilities.tolist(), strict=True
    ):
        pair = shares.setdefault(executed(candidate), [0.0, 0.0])
        pair[0] += p
        pair[1] += r
    return min(sum(min(p, r) for p, r in shares.values()), 1.0)
