"""WebShop as recipes see it: catalogue, splits, shoppers."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from agentq_envs.demonstrations import Alternative, Demonstration, DemonstrationSettings
from agentq_envs.webshop.demonstrations import BROWSERS, play_all
from agentq_envs.webshop.env import WebShopEnv
from agentq_envs.webshop.panels import Panel
from agentq_envs.webshop.questions import answers
from agentq_envs.webshop.shops import ShopSettings, shop_env, shop_panel, training_shops


@dataclass(frozen=True)
class Benchmark(ShopSettings):
    """A catalogue, how its tasks are divided, and its shoppers."""

    further_shops: int = 11  # more generated catalogues whose tasks are learnt from
    browsers: float = BROWSERS  # share of the shoppers that look around and hardly ever buy

    title: ClassVar[str] = "WebShop"
    environment: ClassVar[str] = "agentq_envs:agentq/WebShop-v0"
    max_steps: ClassVar[int] = 15

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of the environment."""
        named = {"products": self.products, "attributes": self.attributes, "human": self.human}
        found: dict[str, Any] = {name: str(path) for name, path in named.items() if path is not None}
        return found | ({"human_goals": True} if self.human is not None else {})

    def make_env(self, max_steps: int | None = None, **further: Any) -> WebShopEnv:
        """An environment; all of one process share its server."""
        return WebShopEnv(
            **self.options, max_steps=self.max_steps if max_steps is None else max_steps, **further
        )

    def panel(self, split: str) -> Panel:
        """Shipped panels, or those that ``make_panels`` makes of the files."""
        return shop_panel(self, shop_env(self).server, split)

    def sessions(self, count: int, seed: int, settings: DemonstrationSettings) -> Iterator[Demonstration]:
        """Sessions spread evenly over the shops, each on a task drawn without replacement."""
        shops = training_shops(self, self.further_shops)
        share = -(-count // len(shops))
        for shop in shops:
            tasks = random.Random(str(seed)).sample(shop.tasks, min(len(shop.tasks), share))
            yield from play_all(shop.env, tasks, seed, settings, self.browsers)

    def replay(
        self, tasks: Sequence[str], seed: int, settings: DemonstrationSettings
    ) -> Iterator[Demonstration]:
        """One session per task of the catalogue."""
        yield from play_all(shop_env(self), tasks, seed, settings, self.browsers)

    def answers(self, task: str, alternative: Alternative, rng: random.Random) -> list[str]:
        """Answers to the questions of ``agentq_envs.webshop.questions``."""
        server = shop_env(self).server
        return answers(server.goals[server.goal_index(task)], alternative, rng)
