"""The generated goals under WebShop's own rules: solvable, mostly by one product only, and searchable.

The reward and the search are rewritten here in their shortest form, so that the catalogue is judged by
the rules and not by our engine.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter, defaultdict
from functools import cache
from typing import Any

import pytest
import snowballstemmer
from rapidfuzz import fuzz

from agentq_data.webshop.generator import Catalogue, generate
from agentq_data.webshop.generator.attributes import category_attributes, group_attributes
from agentq_data.webshop.generator.choices import POOLS
from agentq_data.webshop.generator.kinds import KINDS


def _words(text: str) -> list[str]:
    return text.split()


_COLOR_WORDS = _words("""
alabaster apricot aqua ash asphalt azure banana beige black blue blush bordeaux bronze brown burgundy camel
camo caramel champagne charcoal cheetah chestnut chocolate christmas coffee cognac copper coral cranberry
cream crystal dark denim eggplant elephant espresso fuchsia gold granite grape graphite grass gray green grey
heather indigo ivory ivy khaki lavender lemon leopard light lilac lime magenta maroon mauve merlot midnight
mint mocha multicolor mushroom mustard natural navy nude olive orange peach pewter pink plum purple rainbow
red rose royal rust sand sapphire seashell silver skull slate steel stone stonewash sunflower tan taupe teal
tiger turquoise violet walnut wheat white wine yellow
""")
_STOP = frozenset(
    _words(
        "a an and are as at be but by for if in into is it no not of on or such that the their then there "
        "these they this to was will with"
    )
)


def _clean(value: object) -> str:
    return re.sub(r"\W", " ", str(value)).lower().strip()


def _normal(value: Any) -> Any:
    """Colour normalisation; on a (name, value) pair the test is membership, as in the reference."""
    return next((word for word in _COLOR_WORDS if word in value), value)


@cache
def _option_match(wanted: str | tuple[str, str], chosen: str) -> bool:
    return fuzz.token_set_ratio(_clean(_normal(wanted)), _clean(_normal(chosen))) > 85


class _Shop:
    """A catalogue as the official loader sees it."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.entries = catalogue.attributes
        self.human = catalogue.human
        self.products = {p["asin"]: p for p in catalogue.products}
        self.options = {a: self._read_options(p) for a, p in self.products.items()}
        self.price = {a: self._read_price(p["pricing"]) for a, p in self.products.items()}
        self.nouns = {a: re.findall("[a-z]+", p["name"].lower()) for a, p in self.products.items()}

    @staticmethod
    def _read_options(product: dict[str, Any]) -> dict[str, list[str]]:
        entries = product["customization_options"] or {}
        return {n.lower(): [v["value"].lower() for v in values] for n, values in entries.items()}

    @staticmethod
    def _read_price(text: str) -> float:
        values = [float(part.replace(",", "")) for part in text.split("$")[1:]]
        return sum(values) / len(values) if values else 100.0

    def ceiling(self, asin: str) -> float:
        """The third of the four candidates; an official goal has the second, third or fourth."""
        above = [c for c in range(10, 1000, 10) if c > self.price[asin]][:4]
        return above[2] if len(above) > 2 else 1e6

    def has(self, asin: str, attribute: str) -> bool:
        product = self.products[asin]
        texts = (product["name"], " ".join(product["small_description"]), product["full_description"])
        return any(
            fuzz.token_set_ratio(attribute, own) > 85 for own in self.entries[asin]["attributes"]
        ) or any(attribute in text.lower() for text in texts)

    def full_type(self, asin: str, goal: str) -> bool:
        """Whether r_type is 1, with every word outside the stop list a noun."""
        bought, wanted = self.products[asin], self.products[goal]
        trails = [{t.strip() for t in p["product_category"].split("›")} for p in (bought, wanted)]
        nouns = [w for w in self.nouns[goal] if w not in _STOP]
        score = len({w for w in self.nouns[asin] if w not in _STOP} & set(nouns)) / len(nouns)
        alike = bought["query"] == wanted["query"] or len(trails[0] & trails[1]) >= 2 or score > 0.2
        return alike and score >= 0.1

    def offers(self, asin: str, wanted: tuple[tuple[str, str], ...]) -> bool:
        values = [v for values in self.options[asin].values() for v in values]
        return all(any(_option_match(pair, value) for value in values) for pair in wanted)

    def combinations(self, asin: str) -> list[tuple[tuple[str, str], ...]]:
        names = sorted(self.options[asin])
        choices = itertools.product(*(self.options[asin][name] for name in names))
        return [tuple(zip(names, choice, strict=True)) for choice in choices]


@pytest.fixture(scope="module")
def shop() -> _Shop:
    return _Shop(generate())


def test_every_goal_is_met_by_its_own_product(shop: _Shop) -> None:
    goals = 0
    for asin, entry in shop.entries.items():
        assert all(shop.has(asin, attribute) for attribute in entry["instruction_attributes"])
        assert shop.full_type(asin, asin)
        for wanted in shop.combinations(asin):
            assert all(_option_match(pair, pair[1]) for pair in wanted), wanted
            goals += 1
    for asin, records in shop.human.items():
        for record in records:
            assert all(shop.has(asin, attribute) for attribute in record["instruction_attributes"])
            assert all(_option_match(value, value) for value in record["instruction_options"])
    assert goals > 8000


def test_most_goals_have_one_best_product(shop: _Shop) -> None:
    unique = total = 0
    for goal, entry in list(shop.entries.items())[::3]:  # a third: 330 products, about 3,000 goals
        asked, ceiling = entry["instruction_attributes"], shop.ceiling(goal)
        rivals = [
            a
            for a in shop.products
            if a != goal
            and shop.price[a] <= ceiling
            and shop.full_type(a, goal)
            and all(shop.has(a, attribute) for attribute in asked)
        ]
        for wanted in shop.combinations(goal):
            total += 1
            unique += not any(shop.offers(rival, wanted) for rival in rivals)
    assert unique / total >= 0.85
    assert unique < total, "ties belong to the task"


class _Search:
    """BM25 over title, description, first bullet and options (k1 0.9, b 0.4)."""

    def __init__(self, shop: _Shop) -> None:
        self._stem = cache(snowballstemmer.stemmer("porter").stemWord)
        self._postings: dict[str, list[tuple[str, int]]] = defaultdict(list)
        self._length: dict[str, int] = {}
        for asin, p in shop.products.items():
            options = ", ".join(f"{n}: {', '.join(v)}" for n, v in shop.options[asin].items())
            text = " ".join([p["name"], p["full_description"], p["small_description"][0], options])
            tokens = self._tokens(text)
            self._length[asin] = len(tokens)
            for token, count in Counter(tokens).items():
                self._postings[token].append((asin, count))
        self._mean = sum(self._length.values()) / len(self._length)

    def _tokens(self, text: str) -> list[str]:
        return [self._stem(w) for w in re.findall("[a-z0-9]+", text.lower()) if w not in _STOP]

    def top(self, query: str) -> list[str]:
        scores: dict[str, float] = defaultdict(float)
        for token in self._tokens(query):
            found = self._postings.get(token, [])
            weight = math.log(1 + (len(self._length) - len(found) + 0.5) / (len(found) + 0.5))
            for asin, count in found:
                norm = 0.9 * (0.6 + 0.4 * self._length[asin] / self._mean)
                scores[asin] += weight * count / (count + norm)
        return sorted(scores, key=lambda a: (-scores[a], a))[:50]


def test_search_finds_the_product_but_not_always_first(shop: _Shop) -> None:
    search = _Search(shop)
    ranks: list[int] = []
    for asin, entry in shop.entries.items():
        found = search.top(" ".join([shop.products[asin]["query"], *entry["instruction_attributes"]]))
        ranks.append(found.index(asin) + 1 if asin in found else 51)
    first, page, all_pages = (sum(rank <= most for rank in ranks) / len(ranks) for most in (1, 10, 50))
    assert 0.4 <= first <= 0.85
    assert page >= 0.8
    assert all_pages >= 0.99


def test_no_two_attributes_of_a_shelf_count_as_equal() -> None:
    for kind in KINDS:
        pool = [a.text for a in (*category_attributes(kind.category), *group_attributes(kind.group))]
        for one, other in itertools.permutations(pool, 2):
            assert fuzz.token_set_ratio(one, other) <= 85, (kind.name, one, other)
            assert one not in other


def test_option_values_equal_themselves_and_no_other() -> None:
    for pool in POOLS.values():
        for one, other in itertools.product(pool.values, repeat=2):
            assert _option_match((pool.name, one), other) == (one == other), (pool.name, one, other)
            assert _option_match(one, other) == (one == other), (pool.name, one, other)
    for kind in KINDS:
        for one, other in itertools.combinations(kind.options, 2):
            assert not set(POOLS[one].values) & set(POOLS[other].values), kind.name
            assert POOLS[one].name != POOLS[other].name, kind.name
