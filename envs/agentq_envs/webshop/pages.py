"""The pages of the shop: what each shows and what can be clicked on it.

Pages are immutable and shared between sessions; what depends on a session (chosen options, visited
products, the instruction) is added by ``render``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agentq_envs.webshop.actions import can_click, click
from agentq_envs.webshop.catalogue import Product

BACK = "back to search"
PREVIOUS = "< prev"
NEXT = "next >"
BUY = "buy now"
SEARCH = "search"  # listed as clickable on the start page, but clicking it does nothing
SUB_PAGES: Mapping[str, str] = {
    name.lower(): name for name in ("Description", "Features", "Reviews", "Attributes")
}
SEARCH_MARKER = "search[<free text>]"  # stands for any search among the admissible actions
PAGE_SIZE = 10
SEPARATOR = " [SEP] "
_HTML_SPACES = " \t\n\r\f"


class Page(Protocol):
    """What every page offers."""

    @property
    def clickables(self) -> tuple[str, ...]:
        """Lower-cased element texts in the order of the reference's dictionary."""
        ...

    @property
    def admissible(self) -> tuple[str, ...]:
        """Action texts that change the page or its state."""
        ...


@dataclass(frozen=True, slots=True)
class StaticPage:
    """A page whose elements never change: the start page, sub pages, the page after a purchase."""

    clickables: tuple[str, ...]
    admissible: tuple[str, ...]
    text: str = ""  # body below the instruction, parts joined by SEPARATOR
    rich: str = ""  # the same for text_rich, one line a part


@dataclass(frozen=True, slots=True)
class ResultsPage:
    """Up to ten products of a search."""

    asins: tuple[str, ...]
    total: int  # products found on all pages
    links: Mapping[str, str]  # lower-cased ASIN -> ASIN
    clickables: tuple[str, ...]
    admissible: tuple[str, ...]
    text: str
    rich_head: str
    rich_tails: tuple[str, ...]  # lines below the link of each product


@dataclass(frozen=True, slots=True)
class OptionLines:
    """One option of an item page in text_rich: the heading line and its values."""

    heading: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ItemPage:
    """A product with its options."""

    product: Product
    option_of: Mapping[str, str]  # value -> option name; of equal values the last one counts
    choices: Mapping[str, Sequence[str]]  # option name -> values that a click really chooses
    clickables: tuple[str, ...]
    admissible: tuple[str, ...]
    text: str
    rich: str  # without any chosen option
    rich_options: tuple[OptionLines, ...]
    rich_tail: str  # below the options


START_PAGE = StaticPage(clickables=(SEARCH,), admissible=(SEARCH_MARKER,))
DONE_PAGE = StaticPage(clickables=(), admissible=())
_SUB_CLICKABLES = (BACK, PREVIOUS)
_RICH_NAVIGATION = "[button] Back to Search [button_]\n[button] < Prev [button_]\n"


def node(text: object) -> str | None:
    """A text as the HTML parser of the reference keeps it, None when it leaves no node.

    Text of ASCII whitespace alone becomes one space, or disappears when it holds a line break.
    """
    value = str(text)
    if value.strip(_HTML_SPACES):
        return value
    return " " if value and "\n" not in value else None


def nodes(*texts: object) -> list[str]:
    """The nodes of several texts."""
    return [kept for kept in map(node, texts) if kept is not None]


def join_text(parts: Sequence[str]) -> str:
    """Nodes of the ``text`` mode: stripped and joined."""
    return SEPARATOR.join(part.strip() for part in parts)


def join_rich(parts: Sequence[str]) -> str:
    """Plain nodes of the ``text_rich`` mode: one line each, not stripped."""
    return "".join(f"{part}\n" for part in parts)


def button(text: str) -> str:
    """A button line of the ``text_rich`` mode."""
    return f"[button] {text} [button_]\n"


def results_page(products: Sequence[Product], total: int, number: int) -> ResultsPage:
    """The page ``number`` of a search; ``products`` are those shown on it."""
    links = {product.asin.lower(): product.asin for product in products}
    buttons = (BACK, PREVIOUS, NEXT) if number > 1 else (BACK, NEXT)
    clickables = _distinct((*buttons, *links))
    shown = ("Back to Search", f"Page {number} (Total results: {total})")
    text = [*shown, "< Prev", "Next >"] if number > 1 else [*shown, "Next >"]
    rich_head = (
        button(shown[0]) + f"{shown[1]}\n" + (button("< Prev") if number > 1 else "") + button("Next >")
    )
    for product in products:
        text += nodes(product.asin, product.title, product.price_tag)
    return ResultsPage(
        asins=tuple(product.asin for product in products),
        total=total,
        links=links,
        clickables=clickables,
        admissible=_actions(clickables),
        text=join_text(text),
        rich_head=rich_head,
        rich_tails=tuple(join_rich(nodes(p.title, p.price_tag)) for p in products),
    )


def item_page(product: Product, show_attrs: bool) -> ItemPage:
    """The page of a product."""
    subs = [name for name in SUB_PAGES.values() if show_attrs or name != "Attributes"]
    option_of = {value: name for name, values in product.options.items() for value in values}
    clickables = _distinct((BACK, PREVIOUS, *(name.lower() for name in subs), BUY, *option_of))
    facts = nodes(product.title, f"Price: {product.price_tag}", "Rating: N.A.")
    text = ["Back to Search", "< Prev"]
    for name, values in product.options.items():
        text += nodes(name, *values)
    rich_options = tuple(
        OptionLines(join_rich(nodes(name)), tuple(nodes(*values))) for name, values in product.options.items()
    )
    rich_tail = join_rich(facts) + "".join(map(button, (*subs, "Buy Now")))
    rich = _RICH_NAVIGATION + "".join(
        option.heading + "".join(f"  {button(value)}" for value in option.values) for option in rich_options
    )
    return ItemPage(
        product=product,
        option_of=option_of,
        choices={
            name: tuple(value for value in dict.fromkeys(values) if _chooses(value, name, option_of))
            for name, values in product.options.items()
        },
        clickables=clickables,
        admissible=_actions(clickables),
        text=join_text([*text, *facts, *subs, "Buy Now"]),
        rich=rich + rich_tail,
        rich_options=rich_options,
        rich_tail=rich_tail,
    )


def _chooses(value: str, name: str, option_of: Mapping[str, str]) -> bool:
    """Whether a click on ``value`` sets the option: it is no button, can be typed, and no later option has it."""
    buttons = (BACK, PREVIOUS, BUY, SEARCH, *SUB_PAGES)
    return option_of[value] == name and value not in buttons and can_click(value)


def sub_page(product: Product, name: str) -> StaticPage:
    """One of ``SUB_PAGES`` of a product."""
    if name == "Description":
        content = nodes(product.description)
    elif name == "Features":
        content = nodes(*(f" {bullet}" for bullet in product.bullets))
    elif name == "Attributes":
        attributes = (f" {attribute}" for attribute in product.attributes)
        content = nodes(*attributes, product.category, product.query, product.product_category)
    else:
        content = []  # no reviews are loaded
    return StaticPage(
        clickables=_SUB_CLICKABLES,
        admissible=_actions(_SUB_CLICKABLES),
        text=join_text(["Back to Search", "< Prev", *content]),
        rich=_RICH_NAVIGATION + join_rich(content),
    )


def _distinct(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _actions(clickables: Sequence[str]) -> tuple[str, ...]:
    return tuple(click(text) for text in clickables if text != SEARCH and can_click(text))
