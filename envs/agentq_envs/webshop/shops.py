"""Which shops and tasks may be learnt from: the training panel, and further generated catalogues."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agentq_envs.webshop.env import WebShopEnv
from agentq_envs.webshop.panels import Panel, load_panel, make_panels
from agentq_envs.webshop.server import WebShopServer


@dataclass(frozen=True, slots=True)
class ShopSettings:
    """A catalogue and how its tasks are divided; without files the generated catalogue of AgentQ."""

    products: Path | None = None  # official product file; none: the generated catalogue
    attributes: Path | None = None  # official attribute file
    human: Path | None = None  # official file of human instructions; tasks are then human goals
    panels: str = "auto"  # prefix of panel names, e.g. embedded; auto: embedded, or made from the files


@dataclass(frozen=True, slots=True)
class TrainingShop:
    """An environment and the tasks of it that may be learnt from."""

    env: WebShopEnv
    tasks: tuple[str, ...]


def shop_env(settings: ShopSettings, max_steps: int = 15) -> WebShopEnv:
    """An environment on the catalogue; all of one process share its server."""
    return WebShopEnv(
        settings.products,
        settings.attributes,
        settings.human,
        human_goals=settings.human is not None,
        max_steps=max_steps,
    )


def shop_panel(settings: ShopSettings, server: WebShopServer, split: str) -> Panel:
    """The panel "train", "validation" or "test" of the shop's tasks.

    ``auto`` takes the shipped panels for the generated catalogue, and divides an official catalogue by
    families of similar products with ``make_panels``: always in the same way. Raises TaskError when a
    shipped panel does not belong to the catalogue.
    """
    if settings.panels == "auto" and settings.products is not None:
        return make_panels(server, "own")[split]
    prefix = "embedded" if settings.panels == "auto" else settings.panels
    return load_panel(f"{prefix}-{split}", server)


def panel_tasks(settings: ShopSettings, server: WebShopServer, split: str) -> tuple[str, ...]:
    """Task ids of ``shop_panel``."""
    return shop_panel(settings, server, split).tasks


def training_shops(settings: ShopSettings, further: int = 0) -> list[TrainingShop]:
    """The catalogue's training tasks and all tasks of ``further`` generated catalogues (seeds 1, 2, ...).

    No validation or test task of the catalogue is among them.
    """
    main = shop_env(settings)
    found = [TrainingShop(main, panel_tasks(settings, main.server, "train"))]
    for seed in range(1, further + 1):
        env = WebShopEnv(catalogue_seed=seed)
        found.append(TrainingShop(env, tuple(env.server.task_ids)))
    return found
