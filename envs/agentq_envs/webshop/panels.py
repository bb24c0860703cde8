"""Frozen lists of tasks (panels) for training, validation and test, each with a hash of its content.

``python -m agentq_envs.webshop.panels`` writes the panels of the generated catalogue; without ``--write`` it
only checks them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from agentq.errors import DataError, TaskError
from agentq_envs.webshop.catalogue import Product
from agentq_envs.webshop.goals import canonical_json
from agentq_envs.webshop.server import GoalSettings, WebShopServer

ENVIRONMENT = "agentq/WebShop-v0"
SPLITS = ("train", "validation", "test")
#: Goal indices of the official baselines on all products; with fewer products they use every goal.
OFFICIAL_SPLITS: Mapping[str, slice] = {
    "test": slice(0, 500),
    "validation": slice(500, 1500),
    "train": slice(1500, None),
}
_SIMILAR_TITLES = 0.6  # share of common words from which on two titles count as near-duplicates
_OFFICIAL = "official-"
_FOLDER = "panel_files"


@dataclass(frozen=True, slots=True)
class Panel:
    """Task ids of one split. ``data_hash`` is the catalogue's, so a panel never runs on other data."""

    name: str
    environment: str
    data_hash: str
    goal_seed: int
    human_goals: bool
    tasks: tuple[str, ...]

    @property
    def hash(self) -> str:
        """SHA-256 of everything above, in hex."""
        return hashlib.sha256(canonical_json(self._content()).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The content of a panel file."""
        return {**self._content(), "hash": self.hash}

    def check(self, server: WebShopServer) -> Panel:
        """The panel itself; raises TaskError when the server's data or goals are not the panel's."""
        settings = server.settings
        if server.catalogue.content_hash != self.data_hash:
            raise TaskError(
                f"panel {self.name!r} belongs to the catalogue {self.data_hash[:12]}, this server has "
                f"{server.catalogue.content_hash[:12]}. Load the panel's files, or make a panel for yours."
            )
        if (settings.seed, settings.human) != (self.goal_seed, self.human_goals):
            raise TaskError(
                f"panel {self.name!r} has goal_seed={self.goal_seed}, human_goals={self.human_goals}, this "
                f"server goal_seed={settings.seed}, human_goals={settings.human}. Use the panel's settings."
            )
        for task in self.tasks:
            server.goal_index(task)
        return self

    def _content(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "environment": self.environment,
            "data_hash": self.data_hash,
            "goal_seed": self.goal_seed,
            "human_goals": self.human_goals,
            "tasks": list(self.tasks),
        }


@dataclass(frozen=True, slots=True)
class SplitSizes:
    """How products and tasks are divided; products not named here train."""

    test_tasks: int = 500
    validation_tasks: int = 300
    test_share: float = 0.25  # of the products
    validation_share: float = 0.15


def load_panel(name: str, server: WebShopServer | None = None) -> Panel:
    """A panel that ships with the package, a panel file by its path, or ``official-<split>``; verified.

    With a server its data and tasks are checked too. Raises TaskError for an unknown name or a hash that
    does not fit, DataError for a broken file.
    """
    if name.startswith(_OFFICIAL):
        if server is None:
            raise TaskError(f"panel {name!r} depends on the loaded data: pass server=.")
        return official_panel(name.removeprefix(_OFFICIAL), server)
    path = Path(name)
    if path.suffix == ".json":
        text = _read(path)
    else:
        resource = files("agentq_envs.webshop") / _FOLDER / f"{name}.json"
        if not resource.is_file():
            raise TaskError(
                f"unknown panel {name!r}, expected one of {', '.join(panel_names())} or a .json path."
            )
        text = resource.read_text(encoding="utf-8")
    panel = _parsed(text, name)
    return panel if server is None else panel.check(server)


def panel_names() -> list[str]:
    """Names of the panels that ship with the package."""
    folder = files("agentq_envs.webshop") / _FOLDER
    if not folder.is_dir():
        return []
    return sorted(
        entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json")
    )


def save_panel(panel: Panel, folder: Path) -> Path:
    """Write a panel file and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{panel.name}.json"
    path.write_text(json.dumps(panel.to_json(), indent=0) + "\n", encoding="utf-8")
    return path


def make_panels(server: WebShopServer, prefix: str, sizes: SplitSizes | None = None) -> dict[str, Panel]:
    """Train, validation and test panels that share no product and no family of near-duplicate products.

    Families go to a split in an order decided by a hash alone. Test and validation take as many tasks
    from every product as needed, one from each in turn; training takes all tasks of its products.
    """
    sizes = sizes or SplitSizes()
    goals_of: dict[str, list[str]] = {}
    for task, goal in zip(server.task_ids, server.goals, strict=True):
        goals_of.setdefault(goal.asin, []).append(task)
    products = [product for product in server.catalogue.products if product.asin in goals_of]
    families = sorted(title_families(products), key=lambda family: _order(min(family)))
    split_of: dict[str, list[str]] = {split: [] for split in SPLITS}
    wanted = {"test": sizes.test_share * len(products), "validation": sizes.validation_share * len(products)}
    for family in families:
        split = next((s for s in wanted if len(split_of[s]) + len(family) <= wanted[s]), "train")
        split_of[split] += family
    limits = {"test": sizes.test_tasks, "validation": sizes.validation_tasks, "train": None}
    return {
        split: _panel(f"{prefix}-{split}", server, _in_turn(split_of[split], goals_of, limits[split]))
        for split in SPLITS
    }


def official_panel(split: str, server: WebShopServer) -> Panel:
    """The official split by goal index; meant for all products with human goals.

    Raises TaskError for another split name or a server with too few goals.
    """
    if split not in OFFICIAL_SPLITS:
        raise TaskError(f"unknown split {split!r}, expected one of {', '.join(OFFICIAL_SPLITS)}.")
    tasks = server.task_ids[OFFICIAL_SPLITS[split]]
    if not tasks:
        raise TaskError(
            f"the official split {split!r} begins at goal {OFFICIAL_SPLITS[split].start}, this server has "
            f"{len(server.goals)} goals. Load all products, or make panels with make_panels()."
        )
    return _panel(_OFFICIAL + split, server, tasks)


def title_families(products: Sequence[Product], threshold: float = _SIMILAR_TITLES) -> list[list[str]]:
    """ASINs grouped so that products with similar titles (Jaccard of words >= threshold) share a group."""
    words = [frozenset(product.title.lower().split()) for product in products]
    group = list(range(len(products)))  # union-find

    def root(i: int) -> int:
        while group[i] != i:
            group[i] = group[group[i]]
            i = group[i]
        return i

    for i in range(len(products)):
        for j in range(i):
            shared = len(words[i] & words[j])
            if shared and shared >= threshold * (len(words[i]) + len(words[j]) - shared):
                group[root(i)] = root(j)
    families: dict[int, list[str]] = {}
    for i, product in enumerate(products):
        families.setdefault(root(i), []).append(product.asin)
    return list(families.values())


def _panel(name: str, server: WebShopServer, tasks: Iterable[str]) -> Panel:
    return Panel(
        name=name,
        environment=ENVIRONMENT,
        data_hash=server.catalogue.content_hash,
        goal_seed=server.settings.seed,
        human_goals=server.settings.human,
        tasks=tuple(dict.fromkeys(tasks)),
    )


def _in_turn(asins: Sequence[str], goals_of: Mapping[str, list[str]], limit: int | None) -> list[str]:
    """Tasks of the products, one from each product in every round, until there are ``limit``."""
    queues = [sorted(set(goals_of[asin]), key=_order) for asin in sorted(asins, key=_order)]
    rounds = max((len(queue) for queue in queues), default=0)
    tasks = [queue[i] for i in range(rounds) for queue in queues if i < len(queue)]
    return tasks if limit is None else tasks[:limit]


def _order(text: str) -> str:
    return hashlib.sha256(f"panel:{text}".encode()).hexdigest()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot read the panel ({error}). Give the path of a panel file.") from error


def _parsed(text: str, name: str) -> Panel:
    try:
        record = json.loads(text)
        stored = record.pop("hash")
        panel = Panel(**{**record, "tasks": tuple(record["tasks"])})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"panel {name!r} is no panel file ({type(error).__name__}: {error}). Make it again."
        ) from error
    if panel.hash != stored:
        raise TaskError(
            f"panel {name!r} does not fit its hash (stored {str(stored)[:12]}, content {panel.hash[:12]}): "
            "it was changed after it was frozen. Restore the file, or make a new panel under another name."
        )
    return panel


def _main() -> None:
    from agentq_envs.webshop.loading import shared_server, shop_files

    parser = argparse.ArgumentParser(prog="python -m agentq_envs.webshop.panels", description=__doc__)
    parser.add_argument(
        "--write", type=Path, metavar="DIR", help="write the panels there instead of checking"
    )
    parser.add_argument("--prefix", default="embedded", help="first part of the panel names")
    parser.add_argument("--products", help="official product file (default: the generated catalogue)")
    parser.add_argument("--attributes", help="official attribute file")
    parser.add_argument("--human", help="official human instruction file; makes panels of human goals")
    arguments = parser.parse_args()
    given = shop_files(arguments.products, arguments.attributes, arguments.human)
    server = shared_server(given, GoalSettings(human=arguments.human is not None), noun_tagger="rules")
    for panel in make_panels(server, arguments.prefix).values():
        if arguments.write is not None:
            save_panel(panel, arguments.write)
        else:
            load_panel(panel.name, server)
        print(f"{panel.name}: {len(panel.tasks)} tasks, hash {panel.hash[:12]}, data {panel.data_hash[:12]}")


if __name__ == "__main__":
    _main()
