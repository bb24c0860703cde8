"""ALFWorld as recipes see it: games, splits, players."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from agentq_envs.alfworld.demonstrations import play_all
from agentq_envs.alfworld.env import AlfworldEnv
from agentq_envs.alfworld.panels import Panel, load_panel
from agentq_envs.alfworld.searcher import POPULATION, Habits, novices
from agentq_envs.benchmark import spread
from agentq_envs.demonstrations import Alternative, Demonstration, DemonstrationSettings
from agentq_envs.questions import value_answer, yes

_OFFICIAL = {"train": "train", "validation": "valid_seen", "test": "valid_unseen"}


@dataclass(frozen=True)
class Benchmark:
    """Games and their players; without files the generated games of AgentQ."""

    games: str | None = None  # official, a folder or a packed folder; none: generated games
    careful: float | None = None  # share of careful players, the others novices; none: the usual mixture

    title: ClassVar[str] = "ALFWorld"
    environment: ClassVar[str] = "agentq_envs:agentq/ALFWorld-v0"
    max_steps: ClassVar[int] = 50

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of the environment."""
        return {} if self.games is None else {"games": self.games}

    def make_env(self, max_steps: int | None = None, **further: Any) -> AlfworldEnv:
        """An environment on the games."""
        return AlfworldEnv(
            **self.options, max_steps=self.max_steps if max_steps is None else max_steps, **further
        )

    def panel(self, split: str) -> Panel:
        """The shipped panel of the split; of official games the test is on valid_unseen."""
        return self.make_env().panel(self._panel_name(split))

    def sessions(self, count: int, seed: int, settings: DemonstrationSettings) -> Iterator[Demonstration]:
        """Episodes on training tasks, all of them as often as any other."""
        tasks = spread(
            load_panel(self._panel_name("train")).tasks, count, seed
        )  # checked when they are played
        env, population = self.make_env(), self._population
        for number, task in enumerate(tasks):
            yield from play_all(env, [task], seed * 1_000_003 + number, settings, population)

    def replay(
        self, tasks: Sequence[str], seed: int, settings: DemonstrationSettings
    ) -> Iterator[Demonstration]:
        """One episode per task."""
        yield from play_all(self.make_env(), tasks, seed, settings, self._population)

    def answers(self, task: str, alternative: Alternative, rng: random.Random) -> list[str]:
        """How well it ends, what it was, whether it changed anything, whether what is wanted is in hand after it."""
        task, _, held = alternative.text.splitlines()[:3]  # the lines of the compact prompt
        in_hand = held.removeprefix("Holding: ").split(" ")[0]
        return [
            value_answer(alternative.value, rng),
            f" {alternative.page}",
            yes(alternative.changed),
            yes(in_hand in task.split()),
        ]

    @property
    def _population(self) -> tuple[tuple[Habits, float], ...]:
        return POPULATION if self.careful is None else novices(self.careful)

    def _panel_name(self, split: str) -> str:
        return f"embedded-{split}" if self.games is None else f"official-{_OFFICIAL.get(split, split)}"
