"""HotPotQA as recipes see it: questions and pages, splits, readers."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from agentq.errors import ConfigError, TaskError
from agentq_envs.benchmark import spread
from agentq_envs.demonstrations import Alternative, Demonstration, DemonstrationSettings
from agentq_envs.hotpotqa.demonstrations import Contrast, play_all
from agentq_envs.hotpotqa.env import HotPotQAEnv
from agentq_envs.hotpotqa.panels import ENVIRONMENT, Panel
from agentq_envs.questions import value_answer, yes


@dataclass(frozen=True)
class Benchmark:
    """Questions, pages and their readers; without files the made world of AgentQ."""

    questions: Path | None = None  # official question file; none: the made world
    corpus: Path | None = None  # file of build_corpus; none: what comes with the questions
    panels: str = "embedded"  # prefix of panel names
    world: int = 0  # which made world, without files; of another than 0 every question may be learnt from
    further_worlds: int = 9  # more made worlds whose questions are learnt from: names to copy, not to know
    further_from: int = 0  # the first of them; 0: the one behind ``world``
    comparisons: float | None = None  # share of sessions on comparison questions; none: as questions come
    both_answers: bool = False  # the two answers of a comparison are tried in its every state
    unanswered: float = 1.0  # share of the states kept in which a reader does not answer yet
    guesses: int = 0  # answers picked from what was read that are tried in every state

    title: ClassVar[str] = "HotPotQA"
    environment: ClassVar[str] = "agentq_envs:agentq/HotPotQA-v0"
    max_steps: ClassVar[int] = 7

    def __post_init__(self) -> None:
        if self.world and (self.questions or self.corpus):
            raise ConfigError(
                f"world={self.world} is a made world, but questions or corpus are files: give one of them."
            )
        if self.comparisons is not None and not 0 <= self.comparisons <= 1:
            raise ConfigError(f"comparisons={self.comparisons}: expected a share from 0 to 1.")
        if not 0 <= self.unanswered <= 1:
            raise ConfigError(f"unanswered={self.unanswered}: expected a share from 0 to 1.")
        if self.guesses < 0:
            raise ConfigError(f"guesses={self.guesses}: expected a number of answers, at least 0.")
        if self.further_from < 0:
            raise ConfigError(
                f"further_from={self.further_from}: expected the number of a made world, above 0."
            )
        if self.further_from and self.world in range(
            self.further_from, self.further_from + self.further_worlds
        ):
            raise ConfigError(
                f"world={self.world} is among the {self.further_worlds} worlds from further_from={self.further_from}, "
                "so it would be played twice as often. Begin behind it."
            )

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of the environment."""
        named = {"questions": self.questions, "corpus": self.corpus}
        files = {name: str(path) for name, path in named.items() if path is not None}
        return files | ({"world_seed": self.world} if self.world else {})

    def make_env(self, max_steps: int | None = None, **further: Any) -> HotPotQAEnv:
        """An environment on the questions."""
        return HotPotQAEnv(
            **self.options, max_steps=self.max_steps if max_steps is None else max_steps, **further
        )

    def panel(self, split: str) -> Panel:
        """The shipped panel of the split; of another world than 0 there is "train" alone, all of its questions."""
        if not self.world:
            return self.make_env().panel(f"{self.panels}-{split}")
        if split != "train":
            raise TaskError(
                f"made world {self.world} has no panel {split!r}: all of its questions are for training. Leave "
                "--data.world out to play the frozen panels."
            )
        tasks = self.make_env().tasks
        return Panel(f"world-{self.world}-train", ENVIRONMENT, tasks.data_hash, tuple(tasks.ids))

    def sessions(self, count: int, seed: int, settings: DemonstrationSettings) -> Iterator[Demonstration]:
        """Episodes spread evenly over the worlds, all questions of one (of its type) as often as any other."""
        worlds = [(self.make_env(), self.panel("train").tasks)]
        first = self.further_from or self.world + 1
        for number in range(first, first + self.further_worlds):
            env = HotPotQAEnv(world_seed=number, max_steps=self.max_steps)
            worlds.append((env, tuple(env.tasks.ids)))
        for number, (env, tasks) in enumerate(worlds):
            for turn, task in enumerate(
                self._drawn(env, tasks, -(-count // len(worlds)), f"{seed} {number}")
            ):
                yield from play_all(env, [task], seed * 1_000_003 + turn, settings, self._contrast)

    @property
    def _contrast(self) -> Contrast:
        return Contrast(self.both_answers, self.unanswered, self.guesses)

    def _drawn(self, env: HotPotQAEnv, tasks: Sequence[str], count: int, seed: str) -> list[str]:
        """``count`` questions of a world, with the share of comparisons that was asked for."""
        if self.comparisons is None:
            return spread(tasks, count, seed)
        compared = {task for task in tasks if env.tasks.questions[env.tasks.index(task)].type == "comparison"}
        parts = [[task for task in tasks if (task in compared) is wanted] for wanted in (True, False)]
        wanted = round(count * self.comparisons)
        drawn: list[str] = []
        for part, number in zip(parts, (wanted, count - wanted), strict=True):
            if number and not part:
                raise ConfigError(
                    f"comparisons={self.comparisons}, but {len(compared)} of {len(tasks)} questions are comparisons. "
                    "Leave it out, or give questions of both types."
                )
            drawn += spread(part, number, seed) if number else []
        random.Random(f"{seed} order").shuffle(drawn)
        return drawn

    def replay(
        self, tasks: Sequence[str], seed: int, settings: DemonstrationSettings
    ) -> Iterator[Demonstration]:
        """One episode per task."""
        yield from play_all(self.make_env(), tasks, seed, settings, self._contrast)

    def answers(self, task: str, alternative: Alternative, rng: random.Random) -> list[str]:
        """How well it ends, whether it changed anything, whether its words were read before."""
        inside = alternative.action[alternative.action.find("[") + 1 : -1].lower()
        before = alternative.text.lower().rpartition(alternative.action.lower())[0]
        return [
            value_answer(alternative.value, rng),
            yes(alternative.changed),
            yes(inside in before),
        ]
