"""Option vocabulary: the values that a shopper can click, and how a person weaves them into a sentence.

Within one pool no two values may count as equal in WebShop's reward (token_set_ratio > 85 after its
colour normalisation), and each must count as equal to itself: "sandalwood" would not, because the chosen
value becomes "sand" and the wanted pair of name and value does not. No two pools of one kind share a
value, since equal buttons collide on the page. Numbers with a unit fail the first rule easily ("10 inch"
and "12 inch" are 86 % alike), hence the odd sizes. Tests hold these rules.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OptionPool:
    """Values of one option; ``phrases`` put a value behind a noun, ``before`` puts it in front of it."""

    name: str
    values: tuple[str, ...]
    phrases: tuple[str, ...]
    before: bool = False
    priced: bool = False  # values carry their own price in the file (sizes and packs)


def _pool(name: str, values: str, phrases: str, *, before: bool = False, priced: bool = False) -> OptionPool:
    return OptionPool(
        name,
        tuple(v.strip() for v in values.split(",")),
        tuple(p.strip() for p in phrases.split(";")),
        before,
        priced,
    )


_IN_COLOR = "in {v}; in {v} color; the color should be {v}; {v} colored"
_IN_SIZE = "in size {v}; size {v}; in a {v} size; the size should be {v}"
_OUNCES = "4 oz, 8 oz, 12 oz, 16 oz, 20 oz, 32 oz"

POOLS: dict[str, OptionPool] = {
    "color": _pool(
        "color",
        "black, white, gray, navy blue, forest green, red, yellow, pink, purple, orange, brown, beige, "
        "ivory, teal, burgundy, silver, rose gold, khaki, lavender, turquoise, charcoal, coral",
        _IN_COLOR,
        before=True,
    ),
    "shade": _pool(
        "color",
        "nude, cherry red, hot pink, soft peach, deep plum, copper, burgundy, coral, champagne, black, "
        "mauve, taupe, bronze, clear, violet, ivory",
        _IN_COLOR,
        before=True,
    ),
    "scent": _pool(
        "scent",
        "lavender, vanilla, citrus, rose, eucalyptus, coconut, cedar, jasmine, cucumber, ginger, "
        "unscented, ocean breeze, wild berry, honey oat, green apple",
        "in {v} scent; with a {v} scent; {v} scented; that smells like {v}",
    ),
    "mint": _pool(
        "flavor",
        "cool mint, cinnamon, bubble gum, strawberry, icy fresh, lemon lime, watermelon, plain",
        "in {v} flavor; {v} flavored; with {v} flavor",
    ),
    "flavor": _pool(
        "flavor",
        "chocolate, vanilla, strawberry, cheddar, peanut, salted caramel, cinnamon, barbecue, mango, "
        "maple, lemon, banana, cookies, cherry, watermelon, raspberry",
        "in {v} flavor; {v} flavored; the flavor should be {v}; with {v} flavor",
        before=True,
    ),
    "taste": _pool(
        "flavor",
        "original, vanilla, hazelnut, lemon, peach, mocha, cinnamon, strawberry, maple, caramel, "
        "chocolate, coconut, pumpkin spice, apple, banana",
        "in {v} flavor; {v} flavored; the flavor should be {v}; with {v} flavor",
        before=True,
    ),
    "heat": _pool(
        "flavor",
        "mild, spicy, smoky, sweet, tomato, lemon, honey mustard, ranch, jalapeno, garlic",
        "in {v} flavor; {v} flavored; the {v} one",
    ),
    "ounces": _pool("size", _OUNCES, _IN_SIZE, before=True, priced=True),
    "inches": _pool(
        "size", "9 inch, 12 inch, 30 inch, 48 inch, 65 inch", _IN_SIZE,
        before=True, priced=True,
    ),
    "feet": _pool(
        "length", "3 feet, 6 feet, 8 feet, 10 feet, 25 feet", "{v} long; with a length of {v}",
        priced=True,
    ),
    "pack": _pool(
        "pack", "1 pack, 2 pack, 3 pack, 4 pack, 6 pack, 8 pack", "in a {v}; as a {v}; {v} please",
        priced=True,
    ),
    "clothing": _pool("size", "small, medium, large, xl, xxl", _IN_SIZE),
    "cut": _pool("fit type", "men, women, youth, tall, petite", "for {v}; {v} fit; the {v} cut"),
    "shoe": _pool("size", "5, 6, 7, 8, 9, 10, 11, 12, 13", "in size {v}; size {v}; my size is {v}"),
    "bed": _pool("size", "twin, full, queen, king, crib", _IN_SIZE, before=True, priced=True),
    "tiers": _pool("size", "small, medium, large, jumbo, mini", _IN_SIZE, priced=True),
    "litres": _pool("size", "small, medium, large, mini, oversized", _IN_SIZE, priced=True),
    "memory": _pool(
        "capacity", "16 gb, 32 gb, 64 gb, 128 gb, 256 gb, 512 gb", "with {v}; with {v} capacity; {v} version",
        priced=True,
    ),
    "edition": _pool(
        "style", "basic, deluxe, bundle, pro, starter kit", "in {v} style; the {v} version; {v} edition"
    ),
    "style": _pool(
        "style", "classic, glam, natural look, party, bold", "in {v} style; the {v} style; {v} edition"
    ),
    "plug": _pool("connector", "usb c, barrel tip, aux jack, micro plug", "with {v}; with a {v} connector"),
    "decor": _pool(
        "style", "modern, nordic, farmhouse, industrial, vintage, coastal, bohemian",
        "in {v} style; {v} style; with a {v} look",
    ),
}  # fmt: skip
