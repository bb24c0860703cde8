"""The reward of a purchase, as pure functions (WebShop, section on the reward; goal module of its code).

    total = r_type * (attribute matches + option matches + price ok) / (A + O + 1)

with A goal attributes and O goal options. Success is a total of exactly 1.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from agentq_envs.webshop.catalogue import Product
from agentq_envs.webshop.colors import normalize_color
from agentq_envs.webshop.goals import Goal
from agentq_envs.webshop.matching import matches


@dataclass(frozen=True, slots=True)
class TypeReward:
    """How well the kind of product fits: r_type is 0, 0.1, 0.5 or 1."""

    r_type: float
    query_match: bool
    category_match: bool
    title_score: float


@dataclass(frozen=True, slots=True)
class Reward:
    """The parts of a purchase's reward; ``r_option`` and ``w_option`` are None without goal options."""

    total: float
    type: TypeReward
    r_att: float
    w_att: float
    r_option: float | None
    w_option: float | None
    r_price: bool
    w_price: float
    attribute_matches: int
    option_matches: int
    tagger: str  # name of the noun tagger behind ``type``

    @property
    def success(self) -> bool:
        """Whether the purchase is exactly what was asked for."""
        return self.total == 1.0

    def verbose_info(self) -> dict[str, Any]:
        """The parts under the names and with the omissions of the reference."""
        info: dict[str, Any] = {
            "r_type": self.type.r_type,
            "r_att": self.r_att,
            "w_att": self.w_att,
            "query_match": self.type.query_match,
            "category_match": self.type.category_match,
            "title_score": self.type.title_score,
        }
        if self.r_option is not None:
            info |= {"r_option": self.r_option, "w_option": self.w_option}
        return info | {"r_price": self.r_price, "w_price": self.w_price}

    def to_json(self) -> dict[str, Any]:
        """Everything, JSON-serialisable."""
        counts = {"attribute_matches": self.attribute_matches, "option_matches": self.option_matches}
        return {
            "total": self.total,
            "success": self.success,
            **self.verbose_info(),
            **counts,
            "tagger": self.tagger,
        }


def type_reward(
    product: Product, goal: Goal, product_nouns: Sequence[str], goal_nouns: Sequence[str]
) -> TypeReward:
    """Compare search query, category breadcrumb and title nouns of the bought product with the goal's."""
    return compare_types(
        (product.query, product.product_category, product_nouns),
        (goal.query, goal.product_category, goal_nouns),
    )


def compare_types(
    bought: tuple[str, str, Sequence[str]], wanted: tuple[str, str, Sequence[str]]
) -> TypeReward:
    """As ``type_reward``, from (query, product_category, nouns) of both sides.

    The two low title scores override matches of query and category.
    """
    query_match = bought[0] == wanted[0]
    category_match = len(_breadcrumbs(bought[1]) & _breadcrumbs(wanted[1])) >= 2
    common = len(set(bought[2]) & set(wanted[2]))
    title_score = common / len(wanted[2]) if wanted[2] else 0.2
    r_type = 1.0 if query_match or category_match or title_score > 0.2 else 0.5
    if title_score < 0.1:
        r_type = 0.1
    if title_score == 0.0:
        r_type = 0.0
    return TypeReward(r_type, query_match, category_match, title_score)


def attribute_matches(product: Product, attributes: Iterable[str]) -> int:
    """Goal attributes found in the product's attributes (fuzzy) or literally in its texts."""
    texts: list[str] | None = None
    count = 0
    for wanted in attributes:
        if any(matches(attribute, wanted) for attribute in product.attributes):
            count += 1
            continue
        if texts is None:
            bullets = " ".join(bullet or "" for bullet in product.bullets)
            texts = [product.title.lower(), bullets.lower(), product.description.lower()]
        count += any(wanted in text for text in texts)
    return count


def option_matches(chosen: Iterable[str], wanted: Iterable[Any]) -> int:
    """Goal options that some chosen value matches; each goal option counts at most once."""
    values = [str(normalize_color(value)) for value in chosen]
    goals = [str(normalize_color(option)) for option in wanted]
    return sum(any(matches(value, goal) for value in values) for goal in goals)


def purchase_reward(
    product: Product,
    goal: Goal,
    chosen: Iterable[str],
    price: float,
    kind: TypeReward,
    *,
    tagger: str,
    attributes_found: int | None = None,
) -> Reward:
    """The reward for buying ``product`` at ``price`` dollars with the chosen option values.

    ``attributes_found`` may hand over a cached ``attribute_matches``.
    """
    found = attribute_matches(product, goal.attributes) if attributes_found is None else attributes_found
    wanted = goal.option_items()
    options = option_matches(chosen, wanted)
    cheap = price <= goal.price_upper
    parts = len(goal.attributes) + len(wanted) + 1
    return Reward(
        total=(found + options + cheap) / parts * kind.r_type,
        type=kind,
        r_att=found / len(goal.attributes),
        w_att=len(goal.attributes) / parts,
        r_option=options / len(wanted) if wanted else None,
        w_option=len(wanted) / parts if wanted else None,
        r_price=cheap,
        w_price=1 / parts,
        attribute_matches=found,
        option_matches=options,
        tagger=tagger,
    )


def _breadcrumbs(product_category: str) -> set[str]:
    return {part.strip() for part in product_category.split("›")}
