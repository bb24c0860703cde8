"""Search many tasks and keep their trees: what is stopped goes on where it was."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agentq.search.forest import Forest
from agentq.search.mcts import TreeSearch
from agentq.search.records import TreeWriter, read_trees
from agentq.search.settings import SearchSettings
from agentq.search.tree import Tree
from agentq.search.worlds import World

_EVERY = 30.0  # seconds between lines where there is no terminal


@dataclass(frozen=True, slots=True)
class SearchTask:
    """What to search: a task of the environment and a seed."""

    task: str
    seed: int = 0


def collect_trees(
    forest: Forest,
    make_world: Callable[[], World],
    tasks: Sequence[SearchTask],
    path: str | Path,
    settings: SearchSettings | None = None,
    *,
    title: str = "search",
    shown: bool = True,
) -> list[Tree]:
    """Search the tasks that the file does not hold yet, append each tree when it is done, return all in file order.

    One world is shared by all trees; a tree is searched from its task and seed alone, so stopping and going on
    changes no tree.
    """
    with TreeWriter(path) as writer:
        missing = [task for task in dict.fromkeys(tasks) if (task.task, task.seed) not in writer.tasks]
        world = make_world() if missing else None
        progress = SearchProgress(title, shown)
        with progress.over(len(tasks), len(tasks) - len(missing)):
            assert world is not None or not missing
            searches = (TreeSearch(world, t.task, t.seed, settings) for t in missing if world is not None)
            for search in forest.run(searches):
                writer.write(search.tree)
                progress.ended(search.tree)
    wanted = {(task.task, task.seed) for task in tasks}
    return [tree for tree in read_trees(path) if (tree.task, tree.seed) in wanted]


@dataclass
class SearchProgress:
    """Counts trees as they end: a rich bar in a terminal, else a line now and then."""

    title: str
    shown: bool = True
    planned: int = 0
    done: int = 0
    rewards: list[float] = field(default_factory=list[float])

    def __post_init__(self) -> None:
        self._told = time.monotonic()
        self._bar = None
        self._task = None

    def ended(self, tree: Tree) -> None:
        """Take note of a tree."""
        self.done += 1
        self.rewards.append(tree.best_reward())
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self.done, now=self.line())
        elif self.shown and time.monotonic() - self._told > _EVERY:
            self._told = time.monotonic()
            print(f"{self.title}: {self.done}/{self.planned} trees, {self.line()}", flush=True)

    def line(self) -> str:
        """The state in a few words."""
        if not self.rewards:
            return "no tree yet"
        solved = sum(reward == 1 for reward in self.rewards)
        return f"best reward {sum(self.rewards) / len(self.rewards):.3f}, {solved} solved"

    @contextmanager
    def over(self, planned: int, done: int) -> Generator[None]:
        """Show the progress while the block runs."""
        self.planned, self.done = planned, done
        if not (self.shown and sys.stderr.isatty()):
            yield
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[now]}"),
        )  # fmt: skip
        with Progress(*columns, console=Console(stderr=True)) as self._bar:
            self._task = self._bar.add_task(self.title, total=planned, completed=done, now="")
            yield
        self._bar = None
