"""What a person sees while a suite is played: episodes, score so far with its interval, time left, tokens/s."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from agentq_eval.running.jobs import Ended

_EVERY = 30.0  # seconds between lines where there is no terminal


@dataclass
class _Tally:
    """Running mean and variance (Welford)."""

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        self.n += 1
        delta = value - self.mean
        self.mean += delta / self.n
        self.squares += delta * (value - self.mean)

    def __str__(self) -> str:
        if self.n < 2:
            return f"{self.mean:.3f}"
        half = 1.96 * math.sqrt(self.squares / (self.n - 1) / self.n)
        return f"{self.mean:.3f} ±{half:.3f}"


@dataclass
class Progress:
    """Counts what ends and shows it: a bar in a terminal, else a line now and then.

    The interval is a quick normal one over the episodes of this session; the report has the right ones.
    """

    title: str
    shown: bool = True
    planned: int = 0
    done: int = 0
    tokens: float = 0.0
    scores: dict[str, _Tally] = field(default_factory=dict[str, _Tally])
    outcomes: dict[str, int] = field(default_factory=dict[str, int])

    def __post_init__(self) -> None:
        self._began = self._told = time.monotonic()
        self._fresh = 0
        self._bar = None
        self._task = None

    def ended(self, ended: Ended) -> None:
        """Take note of an episode."""
        about, trajectory = ended.trajectory.metadata, ended.trajectory
        outcome = str(about["outcome"])
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        self.tokens += sum(step.timings.get("tokens", 0.0) for step in trajectory.steps)
        if outcome != "infrastructure":
            self.done += 1
            self._fresh += 1
            self.scores.setdefault(ended.job.arm, _Tally()).add(trajectory.score)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self.done, now=self.line(ended.job.arm))
        elif self.shown and time.monotonic() - self._told > _EVERY:
            self._told = time.monotonic()
            left = "" if not self._fresh else f", {self.seconds_left():.0f} s left"
            print(
                f"{self.title}: {self.done}/{self.planned} episodes, {self.line(ended.job.arm)}{left}",
                flush=True,
            )

    def line(self, arm: str) -> str:
        """The state in a few words."""
        seconds = max(time.monotonic() - self._began, 1e-9)
        odd = [f"{count} {name}" for name, count in self.outcomes.items() if name != "finished"]
        parts = [f"{arm} {self.scores.get(arm, _Tally())}", f"{self.tokens / seconds:,.0f} tokens/s", *odd]
        return ", ".join(parts)

    def seconds_left(self) -> float:
        """At the pace so far."""
        return (time.monotonic() - self._began) / max(self._fresh, 1) * (self.planned - self.done)

    @contextmanager
    def over(self, planned: int, done: int) -> Generator[None]:
        """Show the progress while the block runs."""
        self.planned, self.done = planned, done
        self._began = self._told = time.monotonic()
        if not (self.shown and sys.stderr.isatty()):
            yield
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[now]}"),
        )  # fmt: skip
        with Bar(*columns, console=Console(stderr=True)) as self._bar:
            self._task = self._bar.add_task(self.title, total=planned, completed=done, now="")
            yield
        self._bar = None
