"""What an action does to a session (WebShop text environment and its simulated server)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Protocol

from agentq_envs.webshop.actions import parse_action
from agentq_envs.webshop.pages import (
    BACK,
    BUY,
    NEXT,
    PREVIOUS,
    SEARCH,
    SUB_PAGES,
    ItemPage,
    Page,
    ResultsPage,
)
from agentq_envs.webshop.reward import Reward
from agentq_envs.webshop.session import Session

BASE_URL = "http://127.0.0.1:3000"
_PAGE_WORDS = ("search_results", "item_page", "item_sub_page", "done")  # in order of precedence


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an action brought. ``legal`` is False when the action changed nothing."""

    reward: float
    done: bool
    legal: bool


_NOTHING = Outcome(0.0, done=False, legal=False)
_MOVED = Outcome(0.0, done=False, legal=True)


class Shop(Protocol):
    """What transitions need from the server."""

    def page(self, session: Session) -> Page:
        """The session's current page."""
        ...

    def find(self, session: Session) -> bool:
        """Run the session's search; False when its keywords ask for something impossible."""
        ...

    def buy(self, session: Session) -> Reward:
        """The reward for the session's product and options."""
        ...


def apply_action(shop: Shop, session: Session, text: str) -> Outcome:
    """Change ``session`` as the action says; any text is accepted, illegal ones change nothing."""
    action = parse_action(text)
    if action.argument is None:
        return _NOTHING
    argument = action.argument.lower()
    if action.name == "search":
        return _search(shop, session, tuple(argument.split(" ")), 1)
    if action.name == "click" and argument != SEARCH:
        page = shop.page(session)
        if argument in page.clickables:
            return _click(shop, session, page, argument)
    return _NOTHING


def start_url(session: Session) -> str:
    """The URL of the start page."""
    return f"{BASE_URL}/{session.session_id}"


def _search(shop: Shop, session: Session, keywords: tuple[str, ...], number: int) -> Outcome:
    before = session.keywords
    session.keywords = keywords
    if not shop.find(session):
        session.keywords = before
        return _NOTHING
    session.page = "results"
    session.page_number = number
    session.asin = None
    session.sub_page = None
    session.options = {}
    session.count("search")
    session.url = f"{BASE_URL}/search_results/{session.session_id}/{'+'.join(keywords)}/{number}"
    return _MOVED


def _click(shop: Shop, session: Session, page: Page, element: str) -> Outcome:
    """Names of buttons win over the element behind them, so an option called "buy now" buys."""
    if element == BUY:
        return _buy(shop, session)
    if element == BACK:
        session.start_over()
        session.url = start_url(session)
        return _MOVED
    if element in (NEXT, PREVIOUS):
        place = _page_word(session.url)
        if place == "search_results":
            return _search(
                shop, session, session.keywords or (), _number(session) + (1 if element == NEXT else -1)
            )
        if element == PREVIOUS and place == "item_page":
            return _search(shop, session, session.keywords or (), _number(session))
    elif element in SUB_PAGES:
        return _open_sub_page(session, SUB_PAGES[element])
    return _open_item(session, page, element)


def _open_item(session: Session, page: Page, element: str) -> Outcome:
    """A product link, an option value, or the way back from a sub page."""
    if isinstance(page, ResultsPage):
        session.asin = page.links[element]
        session.visited.add(session.asin)
        session.count("asin")
    elif isinstance(page, ItemPage) and element in page.option_of:
        session.options[page.option_of[element]] = element
        session.count("options")
    session.page = "item"
    session.sub_page = None
    options = json.dumps(session.options)
    session.url = f"{BASE_URL}/item_page/{_trail(session)}/{options}"
    return _MOVED


def _open_sub_page(session: Session, name: str) -> Outcome:
    session.page = "sub"
    session.sub_page = name
    session.count(name)
    session.url = f"{BASE_URL}/item_sub_page/{_trail(session)}/{name}/{session.options}"
    return _MOVED


def _buy(shop: Shop, session: Session) -> Outcome:
    reward = shop.buy(session)
    session.count("purchase")
    session.page = "done"
    session.sub_page = None
    session.done = True
    session.reward = reward
    session.url = f"{BASE_URL}/done/{session.session_id}/{session.asin}/{session.options}"
    return Outcome(reward.total, done=True, legal=True)


def _trail(session: Session) -> str:
    keywords = "+".join(session.keywords or ())
    return f"{session.session_id}/{session.asin}/{keywords}/{session.page_number}"


def _number(session: Session) -> int:
    return session.page_number or 0


def _page_word(url: str) -> str:
    """The kind of page by the URL, which holds keywords too: a query naming a page kind misleads it."""
    return next((word for word in _PAGE_WORDS if word in url), "")
