"""Recompute every choice of a log from its candidates, values and draws, and compare bit by bit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from agentq.critics.base import Scores
from agentq.errors import EvaluationError, SelectorError
from agentq.selectors.base import Selector
from agentq.trajectories.shards import Damage
from agentq.types import Candidate, Decision, FloatArray, Trajectory
from agentq_eval.offline.source import (
    INVALID,
    Rule,
    SelectorBook,
    SelectorOptions,
    Unknown,
    decision_stream,
    open_log,
)

#: What can differ; ``values``: the selector refuses to choose from what was logged.
Part = Literal["index", "probabilities", "draw", "selector", "values", "flags"]
_SHOWN = 20  # mismatches that the text of a report prints


@runtime_checkable
class Replays(Protocol):
    """A selector that chooses with a draw that is handed to it."""

    def replay(self, scores: Scores, candidates: tuple[Candidate, ...], draw: float | None) -> int:
        """The index that ``draw`` chooses."""
        ...


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A part of a logged decision that is not what its selector gives."""

    episode: str
    step: int  # from 0
    part: Part
    logged: Any
    recomputed: Any

    def __str__(self) -> str:
        return f"{self.episode} step {self.step}: {self.part} {self.logged} was logged, {self.recomputed} recomputed"


@dataclass(frozen=True, slots=True)
class NotReplayable:
    """Decisions that could not be checked, for one reason, with the first place."""

    reason: str
    decisions: int
    episode: str
    step: int

    def __str__(self) -> str:
        return f"{self.decisions} decisions, the first in {self.episode} step {self.step}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a selector gives for logged candidates and values."""

    index: int
    probabilities: FloatArray  # (N,)
    draw: float | None  # of the evaluation's own stream; None: nothing is drawn
    flags: tuple[str, ...] = ()  # the selector's remarks


@dataclass(frozen=True)
class ReplayReport:
    """What a replay found. ``identical`` alone means that the log is proven."""

    source: Path
    episodes: int
    decisions: int
    same: int  # decisions whose index and probabilities came out bit-identical
    different: int  # decisions with at least one mismatch
    mismatches: tuple[Mismatch, ...]  # the first ones; ``found`` counts all
    found: int
    not_replayable: tuple[NotReplayable, ...]
    draws: int  # decisions with a draw
    seeded: int  # of them, how many draws are those of (task, seed, step)
    selectors: dict[str, int] = field(default_factory=dict[str, int])  # decisions by logged selector
    damages: tuple[Damage, ...] = ()  # stretches of the log that hold no complete episode

    @property
    def identical(self) -> bool:
        """Every decision of the log came out bit-identical and nothing of it is lost, but for a torn tail."""
        return self.same == self.decisions and all(damage.torn for damage in self.damages)

    def __str__(self) -> str:
        by_selector = ", ".join(f"{name or 'none'} {count}" for name, count in sorted(self.selectors.items()))
        lines = [
            f"{self.same} of {self.decisions} decisions in {self.episodes} episodes are bit-identical "
            f"({by_selector})",
            f"{self.draws} decisions drew a number, {self.seeded} of them from the stream of "
            "(task, seed, step)",
        ]
        if self.different:
            lines += [f"{self.different} decisions differ:", *map(str, self.mismatches[:_SHOWN])]
            hidden = self.found - min(len(self.mismatches), _SHOWN)
            lines += [f"... and {hidden} more mismatches"] if hidden else []
        lines += [f"not replayable: {group}" for group in self.not_replayable]
        lines += [f"damaged: {damage}" for damage in self.damages]
        return "\n".join(lines)


def replay(
    source: str | Path,
    selectors: SelectorOptions | None = None,
    *,
    on_mismatch: Callable[[Mismatch], None] | None = None,
    listed: int = 1000,
) -> ReplayReport:
    """Recompute all choices of a run or log; memory: one episode and at most ``listed`` mismatches.

    ``selectors`` gives options by selector name where the log does not belong to a run, e.g.
    ``{"softmax": {"temperature": 0.1}}``. ``on_mismatch`` receives every mismatch, also those beyond
    ``listed``. Raises ``EvaluationError`` where there is no log or no decision in it.
    """
    run = open_log(source)
    tally = _Tally(SelectorBook(run.manifest, selectors), on_mismatch, listed)
    for episode in run.reader:
        tally.add(episode.id, episode.trajectory)
    if not tally.decisions:
        raise EvaluationError(
            f"the log in {str(source)!r} has {tally.episodes} episodes and no decision: nothing to replay. "
            "Wait for the first episode, or check the path."
        )
    return ReplayReport(
        source=Path(source),
        episodes=tally.episodes,
        decisions=tally.decisions,
        same=tally.decisions - tally.different - sum(tally.counts.values()),
        different=tally.different,
        mismatches=tuple(tally.kept),
        found=tally.found,
        not_replayable=tuple(
            NotReplayable(reason, count, *tally.places[reason]) for reason, count in tally.counts.items()
        ),
        draws=tally.draws,
        seeded=tally.seeded,
        selectors=dict(tally.selectors),
        damages=run.reader.damages,
    )


class _Tally:
    def __init__(
        self, book: SelectorBook, on_mismatch: Callable[[Mismatch], None] | None, listed: int
    ) -> None:
        self.book = book
        self.on_mismatch = on_mismatch
        self.listed = listed
        self.kept: list[Mismatch] = []
        self.places: dict[str, tuple[str, int]] = {}
        self.counts: Counter[str] = Counter()
        self.selectors: Counter[str] = Counter()
        self.episodes = self.decisions = self.different = self.found = self.draws = self.seeded = 0

    def add(self, episode: str, trajectory: Trajectory) -> None:
        self.episodes += 1
        for number, step in enumerate(trajectory.steps):
            decision = step.decision
            self.decisions += 1
            self.selectors[decision.selector] += 1
            if decision.draw is not None:
                self.draws += 1
                self.seeded += decision.draw == float(decision_stream(trajectory, number).random())
            outcome = self._check(episode, trajectory, number, decision)
            if isinstance(outcome, Unknown):
                self.counts[outcome.reason] += 1
                self.places.setdefault(outcome.reason, (episode, number))
                continue
            self.different += bool(outcome)
            for mismatch in outcome:
                self._list(mismatch)

    def _list(self, mismatch: Mismatch) -> None:
        self.found += 1
        if len(self.kept) < self.listed:
            self.kept.append(mismatch)
        if self.on_mismatch is not None:
            self.on_mismatch(mismatch)

    def _check(
        self, episode: str, trajectory: Trajectory, number: int, decision: Decision
    ) -> list[Mismatch] | Unknown:
        planned = self.book.planned(trajectory)
        if planned is not None and decision.selector not in (planned, INVALID):
            return [Mismatch(episode, number, "selector", decision.selector, planned)]
        try:
            choice = self._recompute(trajectory, number, decision)
        except SelectorError as error:
            return [Mismatch(episode, number, "values", decision.q.tolist(), str(error))]
        if isinstance(choice, Unknown):
            return choice
        parts = _differences(decision, choice)
        return [Mismatch(episode, number, part, logged, now) for part, logged, now in parts]

    def _recompute(self, trajectory: Trajectory, number: int, decision: Decision) -> Choice | Unknown:
        if decision.selector == INVALID:
            return invalid_choice(decision)
        rule = self.book.find(trajectory, decision)
        return rule if isinstance(rule, Unknown) else recompute(rule, trajectory, number, decision)


def recompute(rule: Rule, trajectory: Trajectory, step: int, decision: Decision) -> Choice | Unknown:
    """The choice of ``rule`` for a logged decision. Raises ``SelectorError`` where it refuses the values."""
    selector: Selector = rule.selector
    scores = Scores.of(decision)
    fresh = selector.select(scores, decision.candidates, decision_stream(trajectory, step))
    index = fresh.index
    if isinstance(selector, Replays):
        if fresh.draw is not None and (decision.draw is None or not 0 <= decision.draw < 1):
            return Unknown(f"{rule.name} draws at random and no draw in [0, 1) was logged")
        index = selector.replay(scores, decision.candidates, decision.draw)
    elif fresh.draw is not None and fresh.draw != decision.draw:
        return Unknown(f"{rule.name} has no method `replay` and its draw is not from (task, seed, step)")
    return Choice(index, fresh.probabilities, fresh.draw, fresh.flags)


def invalid_choice(decision: Decision) -> Choice:
    """The rule for a state without a valid candidate. Raises ``SelectorError`` where there is one."""
    valid = [number for number, candidate in enumerate(decision.candidates) if candidate.valid]
    if valid:
        raise SelectorError(f"candidate {valid[0]} is valid, so a selector had to choose")
    return Choice(0, np.eye(1, len(decision.candidates))[0], None)


def _differences(decision: Decision, choice: Choice) -> Iterator[tuple[Part, Any, Any]]:
    if decision.index != choice.index:
        yield "index", decision.index, choice.index
    logged, now = decision.probabilities, np.asarray(choice.probabilities, dtype=np.float64)
    if logged.shape != now.shape or logged.tobytes() != now.tobytes():
        yield "probabilities", logged.tolist(), now.tolist()
    if choice.draw is None and decision.draw is not None:
        yield "draw", decision.draw, None
    if not set(choice.flags) <= set(decision.flags):  # a decision may have been flagged by others too
        yield "flags", list(decision.flags), list(choice.flags)
