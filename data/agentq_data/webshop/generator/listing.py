"""Texts of a product: title, bullets, description, and its record in the official product file."""

from __future__ import annotations

from typing import Any

from agentq_data.dice import Dice
from agentq_data.webshop.generator.attributes import ADJECTIVE, PART, USE, Attribute
from agentq_data.webshop.generator.choices import POOLS
from agentq_data.webshop.generator.products import (
    BULLETS,
    DESCRIPTION,
    FIRST_BULLET,
    TITLE,
    ChosenOption,
    Product,
)
from agentq_data.webshop.generator.wording import ABOUT, DESCRIPTIONS, EMPTY_TALK, FILLERS, SERIES, TITLES

_MIN_TITLE_WORDS, _MAX_TITLE_WORDS = 9, 15
_REPEAT_IN_BULLET = 0.5  # of the attributes that the title names already
_SERIES_IN_TITLE = 0.15
KEYWORDS = "Similar searches: "  # opens the sentence with a product's search words


def product_record(product: Product) -> dict[str, Any]:
    """The product as an entry of the official product list.

    Siblings draw the same dice, so their texts differ only where their facts or search words do.
    """
    dice = Dice(product.wording)
    name = _title(product, dice)
    bullets = _bullets(product, dice)
    description = _description(product, dice)
    return {
        "name": name,
        "full_description": description,
        "pricing": product.price.text(),
        "images": [f"https://example.com/images/{product.asin}.jpg"],
        "product_category": product.kind.breadcrumb,
        "average_rating": dice.between(30, 50) / 10,
        "small_description": bullets,
        "model": "",
        "customization_options": _customization(product),
        "asin": product.asin,
        "category": product.kind.category,
        "query": product.kind.name,
        "page": dice.between(1, 20),
    }


def _at(product: Product, place: str) -> list[Attribute]:
    return [p.attribute for p in product.placed if p.place == place]


def _of_role(attributes: list[Attribute], role: str) -> list[str]:
    return [a.text for a in attributes if a.role == role]


def _title(product: Product, dice: Dice) -> str:
    """9 to 15 words (not counting a dash), capitalised."""
    named = _at(product, TITLE)
    parts, uses = _of_role(named, PART), _of_role(named, USE)
    rest = f"with {' and '.join(parts)}" if parts else ""
    if uses:
        rest += f" for {' and '.join(uses)}"
    pattern = dice.pick(TITLES)
    fillers = dice.shuffled([*FILLERS["any"], *FILLERS[product.kind.category]])
    series, wanted = dice.pick(SERIES), dice.between(_MIN_TITLE_WORDS, _MAX_TITLE_WORDS)
    adjectives = " ".join(_of_role(named, ADJECTIVE))
    slots = {"adj": adjectives, "kind": product.kind.name, "rest": rest, "brand": product.brand}
    plain = pattern.format(**slots, lead="", tail="").replace(" - ", " ")
    missing = max(wanted - len(plain.split()), 0)
    tail_words = fillers[2:missing] if missing > 2 else []
    if dice.chance(_SERIES_IN_TITLE) and missing >= 2:
        tail_words = series.lower().split()
        missing -= 2
    lead = " ".join(fillers[: min(missing, 2)])
    title = pattern.format(**slots, lead=lead, tail=" ".join(tail_words))
    return " ".join(title.split()).removesuffix(" -").title()


def _about(attribute: Attribute, product: Product, dice: Dice) -> str:
    sentence = dice.pick(ABOUT[attribute.role]).format(
        a=attribute.text, kind=product.kind.name, brand=product.brand
    )
    return sentence[0].upper() + sentence[1:]


def _talk(product: Product, dice: Dice, count: int) -> list[str]:
    sentences = dice.sample(EMPTY_TALK, count)
    filled = (s.format(kind=product.kind.name, brand=product.brand) for s in sentences)
    return [s[0].upper() + s[1:] for s in filled]


def _bullets(product: Product, dice: Dice) -> list[str]:
    """3 to 6 bullets; only the first one can be found by the search."""
    first = [_about(a, product, dice) for a in _at(product, FIRST_BULLET)]
    later = [_about(a, product, dice) for a in _at(product, BULLETS)]
    for attribute in _at(product, TITLE):
        sentence = _about(attribute, product, dice)
        if dice.chance(_REPEAT_IN_BULLET) and len(first) + len(later) < 5:
            later.append(sentence)
    least = dice.between(3, 5)
    later += _talk(product, dice, max(1, least - len(later) - bool(first)))
    later = dice.shuffled(later)
    bullets = [". ".join(first), *later] if first else later
    return bullets[:6]


def _description(product: Product, dice: Dice) -> str:
    opening = dice.pick(DESCRIPTIONS).format(kind=product.kind.name, brand=product.brand)
    sentences = [opening[0].upper() + opening[1:]]
    hidden = _at(product, DESCRIPTION)
    sentences += [_about(a, product, dice) for a in hidden]
    sentences += _talk(product, dice, dice.between(0, 2))
    if product.keywords:
        sentences.append(KEYWORDS + ", ".join(product.keywords))
    if dice.chance(0.08) and not hidden:
        return ""
    return ". ".join(sentences) + "."


def _customization(product: Product) -> dict[str, list[dict[str, Any]]] | str:
    """Options in the official form; "" when there are none."""
    if not product.options:
        return ""
    return {POOLS[o.pool].name.title(): _option_values(product, o) for o in product.options}


def _option_values(product: Product, option: ChosenOption) -> list[dict[str, Any]]:
    priced = POOLS[option.pool].priced and product.price.cents
    base = product.price.cents[0] if product.price.cents else 0
    values: list[dict[str, Any]] = []
    for position, value in enumerate(option.values):
        cents = base + base * position // 5 if priced else 0
        values.append(
            {
                "is_selected": position == 0,
                "is_available": True,
                "url": None,
                "value": value.title(),
                "price_string": f"${cents // 100:,}.{cents % 100:02d}" if cents else "",
                "price": cents / 100,
                "image": f"https://example.com/images/{product.asin}-{position}.jpg",
            }
        )
    return values
