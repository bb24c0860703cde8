"""The catalogue in memory and as official WebShop files."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentq.errors import DataError
from agentq_data.dice import Dice
from agentq_data.webshop.generator.goals import GoalWriter
from agentq_data.webshop.generator.listing import product_record
from agentq_data.webshop.generator.products import NONE, Product, draw_products

CATALOGUE_VERSION = 1  # raised whenever the same seed gives other bytes
MAX_PRODUCTS = 1_000_000


@dataclass(frozen=True, slots=True)
class Family:
    """Near-duplicates: ``difference`` is "attribute", "option" or "price"."""

    kind: str
    brand: str
    difference: str
    asins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The three official files as Python objects, and the families of near-duplicates behind them."""

    products: list[dict[str, Any]]
    attributes: dict[str, dict[str, Any]]
    human: dict[str, list[dict[str, Any]]]
    families: tuple[Family, ...]


@dataclass(frozen=True, slots=True)
class CatalogueFiles:
    """Where the product list, the attribute file and the human instructions were written."""

    products: Path
    attributes: Path
    human: Path


def generate(seed: int = 0, num_products: int = 1000) -> Catalogue:
    """A catalogue in memory; the same (version, seed, number) gives the same content everywhere.

    Raises DataError for a seed or a number of products out of range.
    """
    _check(seed, num_products)
    dice = Dice(f"agentq shop catalogue {CATALOGUE_VERSION}, seed {seed}")
    products = dice.shuffled(draw_products(dice, num_products))
    goals = GoalWriter(products, dice)
    attributes = {p.asin: goals.attribute_entry(i) for i, p in enumerate(products)}
    human = {p.asin: entries for i, p in enumerate(products) if (entries := goals.human_entries(i))}
    return Catalogue([product_record(p) for p in products], attributes, human, _families(products))


def write_catalogue(directory: Path, seed: int = 0, num_products: int = 1000) -> CatalogueFiles:
    """Writes the three official files into ``directory`` (made if missing), each one atomically.

    Raises DataError for arguments out of range or a directory that cannot be written.
    """
    catalogue = generate(seed, num_products)
    directory = Path(directory)
    files = CatalogueFiles(
        directory / "items_shuffle.json", directory / "items_ins_v2.json", directory / "items_human_ins.json"
    )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _write(files.products, catalogue.products)
        _write(files.attributes, catalogue.attributes)
        _write(files.human, catalogue.human)
    except OSError as error:
        raise DataError(
            f"{directory}: cannot write the catalogue ({error}). Name a writable directory with free space."
        ) from error
    return files


def _check(seed: int, num_products: int) -> None:
    for name, value, low, high in (
        ("seed", seed, 0, 2**63 - 1),
        ("num_products", num_products, 1, MAX_PRODUCTS),
    ):
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise DataError(
                f"{name}={value!r}: expected a whole number from {low} to {high}. Pass such a one."
            )


def _families(products: list[Product]) -> tuple[Family, ...]:
    members: dict[int, list[Product]] = {}
    for product in products:
        if product.difference != NONE:
            members.setdefault(product.family, []).append(product)
    return tuple(
        Family(group[0].kind.name, group[0].brand, group[0].difference, tuple(p.asin for p in group))
        for _, group in sorted(members.items())
    )


def _write(path: Path, content: Any) -> None:
    """UTF-8 JSON with Unix line ends; a reader sees the old file or the whole new one."""
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(text.encode("utf-8"))
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
