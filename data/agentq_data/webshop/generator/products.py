"""Products as facts, in families of near-duplicates.

A family shares kind, brand and wording; its members differ in exactly one fact: one attribute, one
option value, or the price.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from agentq_data.dice import Dice
from agentq_data.webshop.generator.attributes import Attribute, category_attributes, group_attributes
from agentq_data.webshop.generator.choices import POOLS
from agentq_data.webshop.generator.kinds import KINDS, Kind
from agentq_data.webshop.generator.wording import BRANDS

NONE, ATTRIBUTE, OPTION, PRICE = "none", "attribute", "option", "price"
TITLE, FIRST_BULLET, BULLETS, DESCRIPTION = "title", "first bullet", "bullets", "description"

_FAMILY_SIZE_WEIGHTS = (0.42, 0.26, 0.16, 0.10, 0.06)  # 1 to 5 members
_DIFFERENCES = (ATTRIBUTE, OPTION, PRICE)
_DIFFERENCE_WEIGHTS = (0.68, 0.14, 0.18)
_OPTION_COUNT_WEIGHTS = (0.10, 0.25, 0.40, 0.25)  # 0 to 3 option names
_TITLE_SHARE = 0.75  # of the differing attributes; the goals keep the same share (see goals.py)
_HIDDEN_PLACES = (FIRST_BULLET, BULLETS, DESCRIPTION)  # where an attribute stands that no title names
_HIDDEN_WEIGHTS = (0.35, 0.40, 0.25)
_LURES = 0.6  # share of products that list search words of attributes they lack
_PRICE_STEPS = (45, 90)  # dollars between members that differ in price: above any ceiling of a goal
_PRICE_FAMILY_FROM = 60  # a kind must reach this price, or such a step would look absurd


@dataclass(frozen=True, slots=True)
class Price:
    """Price in cents: one value, a range, or none."""

    cents: tuple[int, ...]

    def text(self) -> str:
        """The official raw string: "$12.50", "$12.50$20.00" for a range, "" when missing."""
        return "".join(f"${c // 100:,}.{c % 100:02d}" for c in self.cents)


@dataclass(frozen=True, slots=True)
class Placed:
    """An attribute and the place that names it: title, first bullet, bullets or description."""

    attribute: Attribute
    place: str


@dataclass(frozen=True, slots=True)
class ChosenOption:
    """An option pool by its key in ``choices.POOLS``, and the values this product offers."""

    pool: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Product:
    """All facts of one product; ``wording`` seeds its texts and is shared within a family."""

    asin: str
    kind: Kind
    brand: str
    placed: tuple[Placed, ...]
    options: tuple[ChosenOption, ...]
    price: Price
    wording: str
    family: int
    difference: str
    key_attribute: str = ""  # the attribute that tells it from its siblings
    keywords: tuple[str, ...] = ()  # words of attributes that it lacks, to be found by the search

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """The attributes in the order of their places."""
        return tuple(p.attribute for p in self.placed)


class Asins:
    """Unique article numbers: "B" and nine digits, unrelated to one another."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._used: set[int] = set()

    def new(self) -> str:
        """An article number not given before."""
        while (number := self._dice.below(10**9)) in self._used:
            pass
        self._used.add(number)
        return f"B{number:09d}"


def draw_products(dice: Dice, count: int) -> list[Product]:
    """``count`` products in family order; kinds come from a reshuffled deck, popular ones more often."""
    asins = Asins(dice)
    products: list[Product] = []
    kinds = _deck(dice)
    family = 0
    while len(products) < count:
        size = min(1 + dice.weighted(_FAMILY_SIZE_WEIGHTS), count - len(products))
        base = _draw_base(dice, next(kinds), asins, family)
        products.extend(_family(dice, base, asins, size))
        family += 1
    return products


def _deck(dice: Dice) -> Iterator[Kind]:
    cards = [kind for kind in KINDS for _ in range(kind.popularity)]
    while True:
        yield from dice.shuffled(cards)


def _draw_base(dice: Dice, kind: Kind, asins: Asins, family: int) -> Product:
    num_group, num_category = dice.between(2, 4), dice.between(1, 3)
    attributes = dice.sample(group_attributes(kind.group), num_group)
    attributes += dice.sample(category_attributes(kind.category), num_category)
    return Product(
        asin=asins.new(),
        kind=kind,
        brand=dice.pick(BRANDS),
        placed=_place(dice, dice.shuffled(attributes)),
        options=_draw_options(dice, kind),
        price=_draw_price(dice, kind),
        wording=f"{family}/{dice.below(10**9)}",
        family=family,
        difference=NONE,
    )


def _place(dice: Dice, attributes: list[Attribute]) -> tuple[Placed, ...]:
    """The first two to four go into the title, at most eight words; each other one elsewhere."""
    in_title = min(dice.between(2, 4), len(attributes) - 1)
    while sum(a.num_words for a in attributes[:in_title]) > 8:
        in_title -= 1
    placed = [Placed(a, TITLE) for a in attributes[:in_title]]
    for attribute in attributes[in_title:]:
        placed.append(Placed(attribute, _HIDDEN_PLACES[dice.weighted(_HIDDEN_WEIGHTS)]))
    return tuple(placed)


def _draw_options(dice: Dice, kind: Kind) -> tuple[ChosenOption, ...]:
    count = dice.weighted(_OPTION_COUNT_WEIGHTS)
    chosen: list[ChosenOption] = []
    for key in dice.sample(kind.options, count):
        values = POOLS[key].values
        number = dice.between(2, 3 if count == 3 else 5)
        kept = set(dice.sample(values, min(number, len(values) - 1)))
        chosen.append(ChosenOption(key, tuple(v for v in values if v in kept)))
    return tuple(chosen)


def _draw_price(dice: Dice, kind: Kind) -> Price:
    form, low, width = dice.unit(), kind.low, kind.high - kind.low
    share = dice.unit() ** 2  # cheap products are more frequent
    cents = (low * 100 + int(width * share * 100)) // 100 * 100 + dice.pick((0, 49, 90, 95, 99))
    spread = 100 + int(cents * (0.1 + 0.4 * dice.unit()))
    if form < 0.08:
        return Price(())
    if form < 0.26:
        return Price((cents, cents + spread))
    return Price((cents,))


def _family(dice: Dice, base: Product, asins: Asins, size: int) -> list[Product]:
    difference = _DIFFERENCES[dice.weighted(_DIFFERENCE_WEIGHTS)]
    if size == 1:
        return [_with_lures(dice, base, [base])]
    if difference == OPTION and base.options:
        members = _differ_in_option(dice, base, size)
    elif difference == PRICE and base.kind.high >= _PRICE_FAMILY_FROM and len(base.price.cents) == 1:
        members = _differ_in_price(dice, base, min(size, 3))
    else:
        members = _differ_in_attribute(dice, base, size)
    members = [_with_lures(dice, m, members) for m in members]
    if len(members) == 1:
        return members
    return [members[0], *(replace(m, asin=asins.new()) for m in members[1:])]


def _differ_in_attribute(dice: Dice, base: Product, size: int) -> list[Product]:
    """Members have another attribute in one place, of the same role and length so that texts stay alike."""
    wants_title = dice.chance(_TITLE_SHARE)
    slots = dice.shuffled(range(len(base.placed)))
    slots.sort(key=lambda i: (base.placed[i].place == TITLE) != wants_title)  # stable
    for slot in slots:
        old = base.placed[slot].attribute
        pool = (*group_attributes(base.kind.group), *category_attributes(base.kind.category))
        spare = [
            a
            for a in pool
            if a not in base.attributes and a.role == old.role and a.num_words == old.num_words
        ]
        if len(spare) >= size - 1:
            break
    else:
        return [base]
    members: list[Product] = []
    for attribute in [old, *dice.sample(spare, size - 1)]:
        placed = list(base.placed)
        placed[slot] = replace(placed[slot], attribute=attribute)
        members.append(
            replace(base, placed=tuple(placed), difference=ATTRIBUTE, key_attribute=attribute.text)
        )
    return members


def _differ_in_option(dice: Dice, base: Product, size: int) -> list[Product]:
    """Members offer another value in one position of their shortest option."""
    slot = min(range(len(base.options)), key=lambda i: len(base.options[i].values))
    option = base.options[slot]
    place = dice.below(len(option.values))
    spare = [v for v in POOLS[option.pool].values if v not in option.values]
    members: list[Product] = []
    for value in [option.values[place], *dice.sample(spare, size - 1)]:
        values = (*option.values[:place], value, *option.values[place + 1 :])
        options = (*base.options[:slot], replace(option, values=values), *base.options[slot + 1 :])
        members.append(replace(base, options=options, difference=OPTION))
    return members


def _differ_in_price(dice: Dice, base: Product, size: int) -> list[Product]:
    """Each member is dearer than the one before, by more than the highest ceiling a goal may draw."""
    cents = base.price.cents[0]
    members: list[Product] = []
    for _ in range(size):
        members.append(replace(base, price=Price((cents,)), difference=PRICE))
        cents += 100 * dice.between(*_PRICE_STEPS)
    return members


def _with_lures(dice: Dice, product: Product, family: list[Product]) -> Product:
    """Sellers list words that people search for: those of the siblings' attributes and of some others.

    The words of an attribute come in reverse and apart, so the reward does not find the attribute, but
    the search does: the right product is often, and not always, the first result.
    """
    if not dice.chance(_LURES):
        return product
    own = {a.text for a in product.attributes}
    siblings = [m.key_attribute for m in family if m.key_attribute not in ("", *own)]
    pool = (*group_attributes(product.kind.group), *category_attributes(product.kind.category))
    others = [a.text for a in pool if a.text not in own and a.text not in siblings]
    lures = dice.sample(siblings, 2) + dice.sample(others, dice.between(1, 2))
    return replace(product, keywords=tuple(w for lure in lures for w in reversed(lure.split())))
