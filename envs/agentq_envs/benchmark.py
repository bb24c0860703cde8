"""What recipes need of an environment: its task splits, and episodes of players to learn from.

Each environment that can be learnt offline has a module ``benchmark`` with a dataclass ``Benchmark``; its fields are
the options that recipes take as ``--data``. ``load_benchmark`` finds it by the folder's name, so no list is kept.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol, cast

from agentq.config import load_config
from agentq.errors import ConfigError
from agentq_envs.demonstrations import Alternative, Demonstration, DemonstrationSettings


class TaskPanel(Protocol):
    """A frozen list of tasks."""

    @property
    def name(self) -> str:
        """What the environment calls it."""
        ...

    @property
    def tasks(self) -> tuple[str, ...]:
        """The task ids."""
        ...

    @property
    def hash(self) -> str:
        """SHA-256 of its content, in hex."""
        ...


class Benchmark(Protocol):
    """An environment, how its tasks are divided, and who plays it."""

    title: str  # as reports call it
    environment: str  # what a suite calls it, e.g. agentq_envs:agentq/WebShop-v0
    max_steps: int  # of an episode, where nothing else is said

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of the environment, JSON, besides the step limit."""
        ...

    def make_env(self, max_steps: int | None = None, **further: Any) -> Any:
        """An environment; all of one process share their data. ``further``: keyword arguments of the class."""
        ...

    def panel(self, split: str) -> TaskPanel:
        """The panel "train", "validation" or "test". Raises TaskError for a split that there is not."""
        ...

    def sessions(self, count: int, seed: int, settings: DemonstrationSettings) -> Iterator[Demonstration]:
        """That many episodes of players of mixed quality on tasks that may be learnt from."""
        ...

    def replay(
        self, tasks: Sequence[str], seed: int, settings: DemonstrationSettings
    ) -> Iterator[Demonstration]:
        """One episode per task of the environment, in order."""
        ...

    def answers(self, task: str, alternative: Alternative, rng: random.Random) -> list[str]:
        """Answers about an action of a task, the value digit first, always in the same order."""
        ...


def load_benchmark(name: str, options: Mapping[str, Any] | None = None) -> Benchmark:
    """The benchmark of an environment of this package, or of a user's ``module:Class``, with its options.

    Raises ConfigError for an unknown name or option.
    """
    module, _, attribute = name.partition(":")
    if not attribute:
        module, attribute = f"agentq_envs.{name}.benchmark", "Benchmark"
    if not name.replace(":", "").replace(".", "").isidentifier() or not _exists(module):
        raise ConfigError(
            f"environment {name!r} has no module {module!r}. Expected the name of a folder of agentq_envs with a "
            "module `benchmark` (webshop, alfworld, hotpotqa), or module:Class of your own."
        )
    found = getattr(import_module(module), attribute, None)
    if not isinstance(found, type):
        raise ConfigError(f"environment {name!r}: {module} has no class {attribute!r}.")
    return cast(Benchmark, load_config(cast(Any, found), dict(options or {})))


def spread(tasks: Sequence[str], count: int, seed: object) -> list[str]:
    """``count`` tasks drawn without replacement; when there are fewer, each comes as often as every other."""
    rng = random.Random(str(seed))
    rounds, left = divmod(count, len(tasks))
    drawn = [task for _ in range(rounds) for task in rng.sample(tasks, len(tasks))]
    return drawn + rng.sample(tasks, left)


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
