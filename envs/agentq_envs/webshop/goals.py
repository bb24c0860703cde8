"""Goals: what a shopper wants, made from instructions and sampled price ceilings (WebShop goal module)."""

from __future__ import annotations

import bisect
import hashlib
import itertools
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agentq.errors import DataError
from agentq_envs.webshop.catalogue import Product

SHUFFLE_SEED = 233
NO_CEILING = 1000000
_HUMAN_FIELDS = ("instruction", "instruction_attributes", "instruction_options")
_CEILINGS = tuple(10.0 * i for i in range(1, 100))  # dollars


@dataclass(frozen=True, slots=True)
class Goal:
    """One shopping goal. Synthetic goals have options by name, human goals a list of option values."""

    asin: str
    category: str
    query: str
    name: str
    product_category: str
    instruction_text: str
    attributes: tuple[str, ...]
    price_upper: float  # dollars; NO_CEILING when there is none
    goal_options: Mapping[str, str] | Sequence[str]
    weight: float

    def to_json(self) -> dict[str, Any]:
        """The goal as the reference writes it."""
        options = self.goal_options
        return {
            "asin": self.asin,
            "category": self.category,
            "query": self.query,
            "name": self.name,
            "product_category": self.product_category,
            "instruction_text": self.instruction_text,
            "attributes": list(self.attributes),
            "price_upper": self.price_upper,
            "goal_options": dict(options) if isinstance(options, Mapping) else list(options),
            "weight": self.weight,
        }

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> Goal:
        """The reverse of ``to_json``; a missing weight counts as 1."""
        return Goal(
            **{
                **record,
                "attributes": tuple(record["attributes"]),
                "weight": record.get("weight", 1),
            }
        )

    def option_items(self) -> list[Any]:
        """What the option reward compares: (name, value) pairs of synthetic goals, values of human ones."""
        options = self.goal_options
        return list(options.items()) if isinstance(options, Mapping) else list(options)

    def task_id(self) -> str:
        """A stable name, ``webshop:<asin>:<8 hex digits>`` of the content; the weight does not count."""
        content = self.to_json()
        del content["weight"]
        digest = hashlib.sha256(canonical_json(content).encode()).hexdigest()
        return f"webshop:{self.asin}:{digest[:8]}"


#: Keeps a goal, given its index after the shuffle.
GoalFilter = Callable[[int, Goal], bool]


def make_goals(
    products: Iterable[Product],
    rng: random.Random,
    *,
    human: bool = False,
    goal_filter: GoalFilter | None = None,
    limit: int = -1,
) -> list[Goal]:
    """All goals in environment order: built, shuffled with the fixed seed 233, filtered, limited.

    ``rng`` gives the price ceilings and is then re-seeded with 233, as the module-level generator of the
    reference is. Raises DataError when no goal is left.
    """
    goals = human_goals(products, rng) if human else synthetic_goals(products, rng)
    rng.seed(SHUFFLE_SEED)
    rng.shuffle(goals)
    if goal_filter is not None:
        goals = [goal for i, goal in enumerate(goals) if goal_filter(i, goal)]
    if not goals:
        kind = "human" if human else "synthetic"
        raise DataError(
            f"the catalogue has no {kind} goal" + (" that passes the filter" if goal_filter else "") + ". "
            "Check that the instruction files belong to these products, or use the other kind of goals."
        )
    if limit != -1 and limit < len(goals):
        goals = _limited(goals, limit, rng)
    return goals


def synthetic_goals(products: Iterable[Product], rng: random.Random) -> list[Goal]:
    """One goal for every combination of option values of every product with an instruction."""
    goals: list[Goal] = []
    counts: Counter[str] = Counter()
    for product in products:
        if product.instruction is None:
            continue
        if not product.instruction_attributes:
            raise DataError(
                f"asin {product.asin!r} has an instruction but no instruction_attributes. "
                "Add at least one attribute to its entry in the attribute file, or remove the instruction."
            )
        own = list(_combinations(product, product.instruction_attributes, _ceiling(product.price, rng)))
        for attribute in product.instruction_attributes:
            counts[attribute] += len(own)
        goals += own
    return [
        replace(goal, weight=sum(1.0 / counts[a] for a in goal.attributes) / len(goal.attributes))
        for goal in goals
    ]


def human_goals(products: Iterable[Product], rng: random.Random) -> list[Goal]:
    """One goal for every human instruction with at least one attribute, each with weight 1."""
    goals: list[Goal] = []
    for product in products:
        for record in product.human_instructions or ():
            for field in _HUMAN_FIELDS:
                if field not in record:
                    raise DataError(
                        f"a human instruction of asin {product.asin!r} lacks the field {field!r}. "
                        "Add it, or remove the record."
                    )
            if not record["instruction_attributes"]:
                continue
            ceiling = _ceiling(product.price, rng)
            text = record["instruction"].strip(".") + ceiling.text
            goals.append(
                _goal(product, text, record["instruction_attributes"], ceiling, record["instruction_options"])
            )
    return goals


def cumulative_weights(goals: Sequence[Goal]) -> list[float]:
    """Running sums of the weights with a leading 0, length len(goals) + 1."""
    return [0, *itertools.accumulate(goal.weight for goal in goals)]


def weighted_index(cumulative: Sequence[float], rng: random.Random) -> int:
    """Draw a goal index as the reference does.

    Because of the leading 0 and the cut, goal 0 is never drawn (unless it is alone), goal i has the
    weight of goal i-1, and the last goal the weights of the last two.
    """
    position = rng.uniform(0, cumulative[-1])
    return min(bisect.bisect(cumulative, position), len(cumulative) - 2)


def canonical_json(record: Any) -> str:
    """Sorted keys, ASCII escapes, no spaces."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class _Ceiling:
    price: float
    text: str


def _ceiling(price: float, rng: random.Random) -> _Ceiling:
    candidates = [c for c in _CEILINGS if c > price][:4]
    if len(candidates) < 2:
        return _Ceiling(NO_CEILING, "")
    upper = max(rng.sample(candidates, 2))
    return _Ceiling(upper, f", and price lower than {upper:.2f} dollars")


def _combinations(product: Product, attributes: Sequence[str], ceiling: _Ceiling) -> Iterator[Goal]:
    names = sorted(product.options)
    for values in itertools.product(*(product.options[name] for name in names)):
        chosen = dict(zip(names, values, strict=True))
        suffix = ", and ".join(f"{name}: {value}" for name, value in chosen.items())
        text = f"{product.instruction}{' with ' + suffix if suffix else ''}{ceiling.text}"
        yield _goal(product, text, attributes, ceiling, chosen)


def _goal(
    product: Product,
    text: str,
    attributes: Sequence[str],
    ceiling: _Ceiling,
    options: Mapping[str, str] | Sequence[str],
) -> Goal:
    return Goal(
        asin=product.asin,
        category=product.category,
        query=product.query,
        name=product.title,
        product_category=product.product_category,
        instruction_text=text,
        attributes=tuple(attributes),
        price_upper=ceiling.price,
        goal_options=options,
        weight=1,
    )


def _limited(goals: list[Goal], limit: int, rng: random.Random) -> list[Goal]:
    cumulative = cumulative_weights(goals)
    drawn: dict[int, None] = {}  # keeps draw order
    while len(drawn) < limit:
        drawn[weighted_index(cumulative, rng)] = None
    return [goals[i] for i in drawn]
