"""The shop: catalogue, goals, search and pages, read-only and shared by any number of sessions."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from itertools import islice
from typing import Any, Protocol, TypeVar

from agentq.errors import TaskError
from agentq_envs.webshop import pages
from agentq_envs.webshop.catalogue import Catalogue, Product
from agentq_envs.webshop.goals import Goal, GoalFilter, cumulative_weights, make_goals, weighted_index
from agentq_envs.webshop.nouns import NounTagger, RuleTagger
from agentq_envs.webshop.pages import (
    DONE_PAGE,
    PAGE_SIZE,
    START_PAGE,
    ItemPage,
    Page,
    ResultsPage,
    StaticPage,
)
from agentq_envs.webshop.render import ObservationMode, observation
from agentq_envs.webshop.reward import Reward, TypeReward, attribute_matches, purchase_reward, type_reward
from agentq_envs.webshop.session import Session
from agentq_envs.webshop.transitions import Outcome, apply_action, start_url

SEARCH_RETURN = 50  # results of a search at most
_CACHED_PAGES = 20_000  # of each kind
_CACHED_KEYWORDS = 200  # longer searches are not kept

K = TypeVar("K")
V = TypeVar("V")


class Index(Protocol):
    """Ranks products by a query."""

    def search(self, query: str, k: int = SEARCH_RETURN) -> Sequence[int]:
        """Positions of at most ``k`` products in catalogue order, best first."""
        ...


@dataclass(frozen=True, slots=True)
class GoalSettings:
    """Which goals a server offers; together with the files this decides every task's content."""

    seed: int = 0  # of prices, price ceilings and the weighted limit
    human: bool = False  # human instead of synthetic instructions
    limit: int = -1  # keep this many goals, drawn by weight; -1: all


class _Cache(dict[K, V]):
    """A dict that forgets its oldest entries beyond a size."""

    def keep(self, key: K, value: V) -> V:
        if len(self) >= _CACHED_PAGES:
            for old in list(islice(self, _CACHED_PAGES // 10)):
                del self[old]
        self[key] = value
        return value


class WebShopServer:
    """A shop that sessions act on. Share one between environments: nothing of it changes but caches.

    ``rng`` is the stream that prices and ceilings come from and that sessions without a seed go on with,
    as the module-level generator of the reference; by default it is seeded with ``settings.seed``.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        index: Index,
        settings: GoalSettings | None = None,
        *,
        show_attrs: bool = False,
        tagger: NounTagger | None = None,
        goal_filter: GoalFilter | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.settings = settings or GoalSettings()
        self.rng = random.Random(self.settings.seed) if rng is None else rng
        self.catalogue = catalogue.priced(self.rng)
        self.products: Mapping[str, Product] = self.catalogue.by_asin
        self.goals: list[Goal] = make_goals(
            self.catalogue.products,
            self.rng,
            human=self.settings.human,
            goal_filter=goal_filter,
            limit=self.settings.limit,
        )
        self.cumulative_weights = cumulative_weights(self.goals)
        self.index = index
        self.show_attrs = show_attrs
        self.tagger: NounTagger = RuleTagger() if tagger is None else tagger
        self._items: _Cache[str, ItemPage] = _Cache()
        self._subs: _Cache[tuple[str, str], StaticPage] = _Cache()
        self._results: _Cache[tuple[tuple[str, ...], int], ResultsPage] = _Cache()
        self._nouns: _Cache[str, tuple[str, ...]] = _Cache()
        self._types: _Cache[tuple[str, str, str, str], TypeReward] = _Cache()
        self._tasks: _Cache[int, str] = _Cache()
        self._attributes: _Cache[tuple[str, tuple[str, ...]], int] = _Cache()

    def __deepcopy__(self, memo: dict[int, Any]) -> WebShopServer:
        """Itself: environment specifications are deep-copied with their arguments, and a server is shared."""
        return self

    # Sessions

    def start(self, goal_index: int, session_id: str | None = None, seed: int | str | None = None) -> Session:
        """A new session on the start page; by default its id is the goal index, as in the reference."""
        session = Session(str(goal_index) if session_id is None else session_id, goal_index, seed)
        session.url = start_url(session)
        return session

    def act(self, session: Session, action: str) -> Outcome:
        """Apply an action text to a session; never raises on any text."""
        return apply_action(self, session, action)

    def observe(self, session: Session, mode: ObservationMode = "text") -> str:
        """What the session sees."""
        return observation(mode, session, self.page(session), self.goal(session).instruction_text)

    def goal(self, session: Session) -> Goal:
        """What the session is after."""
        return self.goals[session.goal_index]

    def clickables(self, session: Session) -> tuple[str, ...]:
        """Clickable texts of the current page in the order of the reference."""
        return self.page(session).clickables

    def admissible(self, session: Session) -> tuple[str, ...]:
        """Action texts of the current page; ``pages.SEARCH_MARKER`` stands for any search."""
        return self.page(session).admissible

    def draw_goal(self, rng: random.Random) -> int:
        """A goal index drawn by weight, as the reference does."""
        return weighted_index(self.cumulative_weights, rng)

    # Pages

    def page(self, session: Session) -> Page:
        """The current page of a session."""
        kind = session.page
        if kind == "item":
            return self.item_page(str(session.asin))
        if kind == "results":
            return self.results_page(session)
        if kind == "sub":
            return self.sub_page(str(session.asin), str(session.sub_page))
        return START_PAGE if kind == "search" else DONE_PAGE

    def item_page(self, asin: str) -> ItemPage:
        """The page of a product."""
        page = self._items.get(asin)
        return page or self._items.keep(asin, pages.item_page(self.products[asin], self.show_attrs))

    def sub_page(self, asin: str, name: str) -> StaticPage:
        """One of a product's Description, Features, Reviews, Attributes."""
        key = (asin, name)
        return self._subs.get(key) or self._subs.keep(key, pages.sub_page(self.products[asin], name))

    def results_page(self, session: Session) -> ResultsPage:
        """The page of results that the session is on (or came from)."""
        number = session.page_number or 0
        key = (session.keywords or (), number)
        known = None if session.random_results is not None else self._results.get(key)
        if known is not None:
            return known
        found = self.found(session)
        shown = [self.catalogue.products[i] for i in found[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]]
        page = pages.results_page(shown, len(found), number)
        if session.random_results is not None or len(key[0]) > _CACHED_KEYWORDS:
            return page
        return self._results.keep(key, page)

    # Search

    def found(self, session: Session) -> Sequence[int]:
        """Positions of everything the session's search found, on all pages."""
        if session.random_results is not None:
            return session.random_results
        return self.search(session.keywords or ())

    def search(self, keywords: Sequence[str]) -> Sequence[int]:
        """Positions of the products for keywords; ``<c>`` and ``<q>`` select by category and query."""
        products = self.catalogue.products
        first = keywords[0] if keywords else ""
        if first == "<c>":
            category = keywords[1].strip() if len(keywords) > 1 else ""
            return [i for i, product in enumerate(products) if product.category == category]
        if first == "<q>":
            query = " ".join(keywords[1:]).strip()
            return [i for i, product in enumerate(products) if product.query == query]
        return self.index.search(" ".join(keywords), SEARCH_RETURN)

    def find(self, session: Session) -> bool:
        """Run the session's search. ``<a>`` finds nothing to do: the reference raises there in text mode."""
        first = session.keywords[0] if session.keywords else ""
        if first == "<a>":
            return False
        session.random_results = None
        if first == "<r>":
            count = len(self.catalogue.products)
            session.random_results = tuple(
                self._rng_of(session).sample(range(count), min(SEARCH_RETURN, count))
            )
            session.random_searches += 1
        return True

    def results(self, session: Session) -> list[str]:
        """ASINs on the results page that the session is on (or came from), at most 10."""
        return list(self.results_page(session).asins) if session.keywords is not None else []

    def all_results(self, session: Session) -> list[str]:
        """ASINs of all pages of the session's search."""
        if session.keywords is None:
            return []
        return [self.catalogue.products[i].asin for i in self.found(session)]

    # Reward

    def buy(self, session: Session) -> Reward:
        """The reward for buying the session's product with its options now."""
        return self.reward(self.goal(session), str(session.asin), session.options)

    def reward(self, goal: Goal, asin: str, options: Mapping[str, str] | Iterable[str]) -> Reward:
        """The reward for buying ``asin`` with chosen options (name -> value, or values)."""
        product = self.products[asin]
        values = options.values() if isinstance(options, Mapping) else options
        key = (asin, goal.attributes)
        found = self._attributes.get(key)
        if found is None:
            found = self._attributes.keep(key, attribute_matches(product, goal.attributes))
        return purchase_reward(
            product,
            goal,
            values,
            product.price,
            self._type(product, goal),
            tagger=self.tagger.name,
            attributes_found=found,
        )

    def nouns(self, title: str) -> tuple[str, ...]:
        """Nouns of a title by the server's tagger."""
        found = self._nouns.get(title)
        return self._nouns.keep(title, self.tagger.nouns(title)) if found is None else found

    # Tasks

    def task_id(self, goal_index: int) -> str:
        """The id of a goal; equal goals share an id."""
        known = self._tasks.get(goal_index)
        return known or self._tasks.keep(goal_index, self.goals[goal_index].task_id())

    @cached_property
    def task_ids(self) -> list[str]:
        """The id of every goal, in environment order."""
        return [goal.task_id() for goal in self.goals]

    def goal_index(self, task: str) -> int:
        """The goal of a task id. Raises TaskError, naming near ids, when this server has no such task."""
        asin = str(task).removeprefix("webshop:").rpartition(":")[0]
        for index in self._goals_of.get(asin, ()):
            if self.task_id(index) == task:
                return index
        raise TaskError(
            f"unknown task {task!r}; this server has {len(self.goals)} tasks{self._near(asin)}. Task ids "
            f"depend on the files and on goal seed {self.settings.seed}; list them with server.task_ids."
        )

    @cached_property
    def _goals_of(self) -> dict[str, list[int]]:
        """ASIN -> indices of its goals."""
        found: dict[str, list[int]] = {}
        for index, goal in enumerate(self.goals):
            found.setdefault(goal.asin, []).append(index)
        return found

    def _near(self, asin: str) -> str:
        known = list(islice(self._goals_of, 20_000))
        products = [asin] if asin in self._goals_of else get_close_matches(asin[:32], known, 3, 0.6)
        near = [self.task_id(index) for product in products for index in self._goals_of[product][:3]][:3]
        return f", the nearest are {', '.join(near)}" if near else ", none of them similar"

    def _type(self, product: Product, goal: Goal) -> TypeReward:
        key = (product.asin, goal.query, goal.product_category, goal.name)
        found = self._types.get(key)
        if found is not None:
            return found
        kind = type_reward(product, goal, self.nouns(product.title), self.nouns(goal.name))
        return self._types.keep(key, kind)

    def _rng_of(self, session: Session) -> random.Random:
        if session.seed is None:
            return self.rng
        return random.Random(f"{session.seed}:{session.random_searches}")
