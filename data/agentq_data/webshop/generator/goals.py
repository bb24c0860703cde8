"""What shoppers ask for: the attributes of an instruction, and the two instruction files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentq_data.dice import Dice
from agentq_data.webshop.generator.attributes import Attribute
from agentq_data.webshop.generator.choices import POOLS, OptionPool
from agentq_data.webshop.generator.products import NONE, TITLE, Product
from agentq_data.webshop.generator.requests import human_instruction, instruction

_COUNT_WEIGHTS = (0.15, 0.45, 0.40)  # instructions with 1, 2 or 3 attributes
_TITLE_SHARE = 0.8  # of the asked attributes, drawn from those that the title names
_TRIES = 8  # draws for attributes that no other product of the shelf has together
_STAYS_VAGUE = 0.5  # of the requests with one attribute that several products have
_HUMAN_SHARE = 0.40  # of the products that have human instructions
_TWO_HUMANS = 0.25  # of those, the share with two
_NAMES_OPTION = 0.75  # of the options that a human instruction mentions


class GoalWriter:
    """Chooses what to ask for, so that the answer is one product where that is possible.

    ``products`` is the whole catalogue: the index says which products of a shelf have an attribute.
    """

    def __init__(self, products: Sequence[Product], dice: Dice) -> None:
        self._dice = dice
        self._holders: dict[tuple[str, str], set[int]] = {}
        self._twins: dict[int, set[int]] = {}
        self._products = products
        for index, product in enumerate(products):
            for attribute in product.attributes:
                self._holders.setdefault((product.kind.group, attribute.text), set()).add(index)
            if product.difference != NONE and not product.key_attribute:
                self._twins.setdefault(product.family, set()).add(index)

    def attribute_entry(self, index: int) -> dict[str, Any]:
        """Entry of the official attribute file: attributes, instruction, instruction_attributes."""
        product = self._products[index]
        asked = self._asked(index)
        return {
            "attributes": self._dice.shuffled([a.text for a in product.attributes]),
            "instruction": instruction(product.kind, asked, self._dice),
            "instruction_attributes": [a.text for a in asked],
        }

    def human_entries(self, index: int) -> list[dict[str, Any]]:
        """Entries of the official human file for one product: none, one or two."""
        if not self._dice.chance(_HUMAN_SHARE):
            return []
        return [self._human_entry(index) for _ in range(1 + self._dice.chance(_TWO_HUMANS))]

    def _human_entry(self, index: int) -> dict[str, Any]:
        product, asked = self._products[index], self._asked(index)
        named: list[tuple[OptionPool, str]] = []
        for option in product.options:
            value = self._dice.pick(option.values)
            if self._dice.chance(_NAMES_OPTION):
                named.append((POOLS[option.pool], value))
        return {
            "asin": product.asin,
            "instruction": human_instruction(product.kind, asked, named, self._dice),
            "attributes": [a.text for a in product.attributes],
            "options": [f"{pool.name}: {value}" for pool, value in named],
            "instruction_attributes": [a.text for a in asked],
            "instruction_options": [value for _, value in named],
        }

    def _asked(self, index: int) -> list[Attribute]:
        """Attributes of one request; more of them when fewer would fit other products too."""
        count = 1 + self._dice.weighted(_COUNT_WEIGHTS)
        asked = self._draw(self._products[index], count)
        for attempt in range(_TRIES):
            if not self._rivals(index, asked):
                break
            if count == 1 and self._dice.chance(_STAYS_VAGUE):
                break
            count = max(count, 2 + attempt // 4)
            asked = self._draw(self._products[index], count)
        return asked

    def _draw(self, product: Product, count: int) -> list[Attribute]:
        shown = self._dice.shuffled([p.attribute for p in product.placed if p.place == TITLE])
        hidden = self._dice.shuffled([p.attribute for p in product.placed if p.place != TITLE])
        asked = [a for a in product.attributes if a.text == product.key_attribute]
        shown = [a for a in shown if a not in asked]
        hidden = [a for a in hidden if a not in asked]
        while len(asked) < count and (shown or hidden):
            from_title = self._dice.chance(_TITLE_SHARE)
            source = shown if (from_title and shown) or not hidden else hidden
            asked.append(source.pop())
        return asked

    def _rivals(self, index: int, asked: Sequence[Attribute]) -> set[int]:
        """Other products of the shelf with all these attributes; twins by design do not count."""
        product = self._products[index]
        holders = [self._holders[product.kind.group, a.text] for a in asked]
        return set.intersection(*holders) - {index} - self._twins.get(product.family, set())
