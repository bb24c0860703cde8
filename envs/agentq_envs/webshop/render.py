"""Observations, written directly as text (the reference renders HTML and parses it back).

Modes: ``text`` (parts joined by " [SEP] "), ``text_rich`` (one line a part, elements marked), ``url``.
"""

from __future__ import annotations

import json
from typing import Literal, TypeAlias

from agentq_envs.webshop.pages import (
    SEPARATOR,
    ItemPage,
    Page,
    ResultsPage,
    StaticPage,
    button,
    join_rich,
    join_text,
    node,
)
from agentq_envs.webshop.session import Session

ObservationMode: TypeAlias = Literal["text", "text_rich", "url"]
MODES: tuple[ObservationMode, ...] = ("text", "text_rich", "url")

_DONE_HEAD = (
    "Thank you for shopping with us!",
    "Your code: ",
    "None",
    " (Paste it in your MTurk interface.)",
)
_DONE_TARGET = (
    *("Target", "asin", "options", "attrs", "price upper", "instuction text", "category", "product category"),
    *("query", "Goal ", "None", "Reward", "Your score (min 0.0, max 1.0)"),
)
#: Characters that Flask's JSON filter escapes for HTML.
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "'": "\\u0027"})


def observation(mode: ObservationMode, session: Session, page: Page, instruction: str) -> str:
    """What the shopper sees."""
    if mode == "url":
        return session.url
    if session.page == "done":
        parts = _done_parts(session)
        return join_text(parts) if mode == "text" else join_rich(parts)
    return _text(session, page, instruction) if mode == "text" else _rich(session, page, instruction)


def instruction_heading(session: Session, instruction: str) -> str:
    """The heading with the instruction; it is missing after a purchase ("")."""
    if session.page == "done":
        return ""
    return f"Instruction: {instruction}" if session.page == "search" else f"Instruction:{instruction}"


def _text(session: Session, page: Page, instruction: str) -> str:
    shown = node(instruction)
    head = "Instruction:" if shown is None else f"Instruction:{SEPARATOR}{shown.strip()}"
    if session.page == "search":
        return f"WebShop{SEPARATOR}{head}{SEPARATOR}Search"
    assert isinstance(page, (StaticPage, ResultsPage, ItemPage))
    return f"{head}{SEPARATOR}{page.text}"


def _rich(session: Session, page: Page, instruction: str) -> str:
    shown = node(instruction)
    line = "" if shown is None else f"{shown}\n"
    if session.page == "search":
        return f"WebShop\nInstruction: \n{line}{button('Search')}"
    head = f"Instruction:\n{line}"
    if isinstance(page, ResultsPage):
        return head + page.rich_head + _rich_results(session, page)
    if isinstance(page, ItemPage):
        return _rich_item(session, page, head)
    assert isinstance(page, StaticPage)
    return head + page.rich


def _rich_results(session: Session, page: ResultsPage) -> str:
    visited = session.visited
    return "".join(
        f"\n[clicked button] {asin} [clicked button_]\n{tail}"
        if asin in visited
        else f"\n[button] {asin} [button_]\n{tail}"
        for asin, tail in zip(page.asins, page.rich_tails, strict=True)
    )


def _rich_item(session: Session, page: ItemPage, head: str) -> str:
    """An option value shows as clicked when it occurs in double quotes anywhere in the URL."""
    url = session.url
    if '"' not in url:
        return head + page.rich
    lines = [head, button("Back to Search"), button("< Prev")]
    clicked: list[str] = []
    for option in page.rich_options:
        lines.append(option.heading)
        for value in option.values:
            if f'"{value}"' in url:
                clicked.append(f"You have clicked {value}.\n")
                lines.append(f"  [clicked button] {value} [clicked button_]\n")
            else:
                lines.append(f"  [button] {value} [button_]\n")
    return "".join((*reversed(clicked), *lines, page.rich_tail))


def _done_parts(session: Session) -> list[str]:
    options = json.dumps(session.options, sort_keys=True).translate(_ESCAPES)
    score = 0.0 if session.reward is None else session.reward.total
    bought = ("Purchased", "asin", str(session.asin), "options", options)
    blank = ("attrs", "None", "category", "None", "query", "None", "product category", "None")
    return [*_DONE_HEAD, *bought, *blank, *_DONE_TARGET, str(score), "Reward Details ", "None"]
