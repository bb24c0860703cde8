"""WebShop as recipes see it: catalogue, splits, shoppers."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from agentq_envs.demonstrations import Alternative, Demonstration, DemonstrationSettings
from agentq_envs.webshop.demonstrations import BROWSERS, play_all
from agentq_envs.webshop.env import WebShopEnv
from agentq_envs.webshop.panels import Panel
from agentq_envs.webshop.questions import answers
from agentq_envs.webshop.shops import ShopSettings, shop_env, shop_panel, training_shops


@dataclass(frozen=True)
class Benchmark:
    """A catalogue and its shoppers; without files the generated catalogue of AgentQ."""

    products: Path | None = None  # official product file; none: the generated catalogue
    attributes: Path | None = None  # official attribute file
    human: Path | None = None  # official file of human instructions; tasks are then human goals
    panels: str = "auto"  # prefix of panel names, e.g. embedded; auto: embedded, or made from the files
    further_shops: int = 11  # more generated catalogues whose tasks are learnt from
    browsers: float = BROWSERS  # share of the shoppers that look around and hardly ever buy

    title: ClassVar[str] = "WebShop"
    environment: ClassVar[str] = "agentq_envs:agentq/WebShop-v0"
    max_steps: ClassVar[int] = 15

    @property
    def shop(self) -> ShopSettings:
        """The catalogue and how its tasks are divided."""
        return ShopSettings(self.products, self.attributes, self.human, self.panels)

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of the environment."""
        named = {"products": self.products, "attributes": self.attributes, "human": self.human}
        found: dict[str, Any] = {name: str(path) for name, path in named.items() if path is not None}
        return found | ({"human_goals": True} if self.human is not None else {})

    def make_env(self, max_steps: int | None = None, **further: Any) -> WebShopEnv:
        """An environment; all of one process share its server."""
        return WebShopEnv(**self.options, max_steps=max_steps or self.max_steps, **further)

    def panel(self, split: str) -> Panel:
        """Shipped panels, or those that ``make_panels`` makes of the files."""
        return shop_panel(self.shop, shop_env(self.shop).server, split)

    def sessions(self, count: int, seed: int, settings: DemonstrationSettings) -> Iterator[Demonstration]:
        """Sessions spread evenly over the shops, each on a task drawn without replacement."""
        shops = training_shops(self.shop, self.further_shops)
        share = -(-count // len(shops))
        for shop in shops:
            tasks = random.Random(str(seed)).sample(shop.tasks, min(len(shop.tasks), share))
            yield from play_all(shop.env, tasks, seed, settings, self.browsers)

    def replay(
        self, tasks: Sequence[str], seed: int, settings: DemonstrationSettings
    ) -> Iterator[Demonstration]:
        """One session per task of the catalogue."""
        yield from play_all(shop_env(self.shop), tasks, seed, settings, self.browsers)

    def answers(self, task: str, alternative: Alternative, rng: random.Random) -> list[str]:
        """Answers to the questions of ``agentq_envs.webshop.questions``."""
        server = shop_env(self.shop).server
        return answers(server.goals[server.goal_index(task)], alternative, rng)
