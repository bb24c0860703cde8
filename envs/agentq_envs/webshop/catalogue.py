"""Products as the environment sees them, loaded from the official files (WebShop engine, load_products)."""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path
from typing import Any

from agentq.errors import DataError
from agentq_data.webshop.reader import (
    RawProduct,
    checked_product,
    read_attributes,
    read_human_instructions,
    read_products,
)

DEFAULT_PRICE = 100.0  # dollars, of products without a price
NO_ATTRIBUTES = ("DUMMY_ATTR",)
_MAX_ASIN_LENGTH = 10
_NOT_PRICE = re.compile(r"[^\d.]")


@dataclass(frozen=True, slots=True)
class Product:
    """One product. Prices are in dollars; ``price`` is NaN until a range price is sampled."""

    asin: str
    title: str
    description: str
    bullets: tuple[str | None, ...]
    pricing: tuple[float, ...]  # one value, or the two ends of a range in file order
    price_tag: str  # as shown on the pages
    price: float  # as used by goals and reward
    options: Mapping[str, Sequence[str]]  # option name -> values, both lower-cased, in page order
    attributes: tuple[str, ...]
    category: str
    query: str
    product_category: str
    main_image: str | None = None
    instruction: str | None = None  # synthetic instruction
    instruction_attributes: tuple[str, ...] | None = None
    human_instructions: tuple[Mapping[str, Any], ...] | None = None


@dataclass(frozen=True)
class Catalogue:
    """All products in file order, with what was left out while loading."""

    products: tuple[Product, ...]
    duplicates: int = 0  # repeated ASINs that were skipped, the first one wins
    invalid_asins: int = 0  # ASINs "nan" or longer than 10 characters, skipped
    human: bool = False  # whether human instructions were loaded instead of synthetic ones
    by_asin: Mapping[str, Product] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_asin", {product.asin: product for product in self.products})

    def __len__(self) -> int:
        return len(self.products)

    def priced(self, rng: random.Random) -> Catalogue:
        """The same catalogue with a sampled price for every range; only ranges consume randomness."""
        products = tuple(
            replace(product, price=rng.uniform(*product.pricing)) if len(product.pricing) > 1 else product
            for product in self.products
        )
        return replace(self, products=products)

    def attribute_to_asins(self) -> dict[str, list[str]]:
        """Attribute -> sorted ASINs of the products that have it."""
        found: dict[str, set[str]] = {}
        for product in self.products:
            for attribute in product.attributes:
                found.setdefault(attribute, set()).add(product.asin)
        return {attribute: sorted(asins) for attribute, asins in found.items()}

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over everything that tasks can depend on, in hex; sampled prices are left out."""
        digest = hashlib.sha256()
        for p in self.products:
            content = (
                *(
                    p.asin,
                    p.title,
                    p.description,
                    p.bullets,
                    p.pricing,
                    dict(p.options),
                    p.attributes,
                    p.category,
                ),
                *(p.query, p.product_category, p.instruction, p.instruction_attributes, p.human_instructions),
            )
            digest.update(json.dumps(content, ensure_ascii=True).encode())
            digest.update(b"\n")
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class ParsedOptions:
    """Option values by name, and the image of each value (unused in text mode)."""

    values: dict[str, list[str]]
    images: dict[str, str | None]


@dataclass(frozen=True, slots=True)
class ParsedPrice:
    """Prices in dollars and the text shown on the pages."""

    pricing: tuple[float, ...]
    tag: str


def load_catalogue(
    products: str | Path,
    attributes: str | Path,
    human: str | Path | None = None,
    *,
    human_goals: bool = False,
    num_products: int | None = None,
    strict: bool = False,
) -> Catalogue:
    """Load a catalogue from official files of any size.

    ``strict`` makes repeated ASINs an error instead of skipping them. Raises DataError for files that are
    missing, empty or broken, products that lack a field, and, with synthetic goals, ASINs that the
    attribute file does not know.
    """
    records = read_human_instructions(human) if human is not None else {}
    return build_catalogue(
        read_products(products),
        read_attributes(attributes),
        records,
        human_goals=human_goals,
        num_products=num_products,
        strict=strict,
    )


def build_catalogue(
    raw_products: Iterable[RawProduct],
    attributes: Mapping[str, Any],
    human: Mapping[str, Any] | None = None,
    *,
    human_goals: bool = False,
    num_products: int | None = None,
    strict: bool = False,
) -> Catalogue:
    """As ``load_catalogue``, from raw products and the content of the two other files."""
    products: list[Product] = []
    seen: set[str] = set()
    duplicates = invalid = 0
    for position, raw in enumerate(raw_products):
        if num_products is not None and position >= num_products:
            break
        checked_product(raw, position, "products")
        asin = raw["asin"]
        if asin == "nan" or len(asin) > _MAX_ASIN_LENGTH:
            invalid += 1
            continue
        if asin in seen:
            if strict:
                raise DataError(
                    f"product {position}: the ASIN {asin!r} occurs twice. Remove the repetition, or load "
                    "with strict=False to keep the first one."
                )
            duplicates += 1
            continue
        seen.add(asin)
        products.append(_product(raw, position, attributes, human or {}, human_goals))
    return Catalogue(tuple(products), duplicates=duplicates, invalid_asins=invalid, human=human_goals)


def parse_price(pricing: Any) -> ParsedPrice:
    """Read a price text such as "$5.00", "$5.00$9.99" or "from $1,234.50".

    Raises ValueError or IndexError (as the reference) when there is no number after a "$".
    """
    if not pricing:
        return ParsedPrice((DEFAULT_PRICE,), f"${DEFAULT_PRICE}")
    values = [float(Decimal(_NOT_PRICE.sub("", part))) for part in pricing.split("$")[1:]]
    if len(values) == 1:
        return ParsedPrice((values[0],), f"${values[0]}")
    return ParsedPrice((values[0], values[1]), f"${values[0]} to ${values[1]}")


def parse_options(customization_options: Any) -> ParsedOptions:
    """Lower-case names and values, with "/" written as " | "; a repeated name replaces the earlier one."""
    values: dict[str, list[str]] = {}
    images: dict[str, str | None] = {}
    for name, entries in (customization_options or {}).items():
        if entries is None:
            continue
        named: list[str] = []
        for entry in entries:
            value = entry["value"].strip().replace("/", " | ").lower()
            named.append(value)
            images[value] = entry.get("image")
        values[name.lower()] = named
    return ParsedOptions(values, images)


def _product(
    raw: RawProduct, position: int, attributes: Mapping[str, Any], human: Mapping[str, Any], human_goals: bool
) -> Product:
    asin = raw["asin"]
    where = f"product {position} (asin {asin!r})"
    price = _parsed_price(raw, where)
    entry = attributes.get(asin)
    if entry is None and not human_goals:
        raise DataError(
            f"{where} does not occur in the attribute file. Synthetic goals need an entry (it may be empty) "
            "for every product; use the attribute file that belongs to these products."
        ) from KeyError(asin)
    synthetic: Mapping[str, Any] = {} if human_goals else entry or {}
    instruction_attributes = synthetic.get("instruction_attributes")
    records = human.get(asin) if human_goals else None
    bullets = raw["small_description"]
    images = raw.get("images")
    return Product(
        asin=asin,
        title=raw["name"],
        description=raw["full_description"] or "",
        bullets=tuple(bullets) if isinstance(bullets, list) else (bullets,),
        pricing=price.pricing,
        price_tag=price.tag,
        price=price.pricing[0] if len(price.pricing) == 1 else math.nan,
        options=_parsed_options(raw, where),
        attributes=tuple(entry["attributes"]) if entry and "attributes" in entry else NO_ATTRIBUTES,
        category=raw["category"],
        query=raw["query"].lower().strip(),
        product_category=raw["product_category"],
        main_image=images[0] if images else None,
        instruction=synthetic.get("instruction"),
        instruction_attributes=None if instruction_attributes is None else tuple(instruction_attributes),
        human_instructions=None if records is None else tuple(records),
    )


def _parsed_price(raw: RawProduct, where: str) -> ParsedPrice:
    try:
        return parse_price(raw.get("pricing"))
    except (InvalidOperation, ValueError, IndexError, AttributeError) as error:
        raise DataError(
            f"{where} has the price {raw.get('pricing')!r}, expected text such as '$5.00' or '$5.00$9.99'. "
            "Correct it, or leave it empty."
        ) from error


def _parsed_options(raw: RawProduct, where: str) -> dict[str, list[str]]:
    try:
        return parse_options(raw["customization_options"]).values
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(
            f"{where} has malformed 'customization_options' ({type(error).__name__}: {error}), "
            'expected an object of option name -> list of {"value": text}. Correct it, or set it to "".'
        ) from error
