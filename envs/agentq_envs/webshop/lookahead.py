"""Exact lookahead: the best discounted reward that is still reachable from a state.

WebShop is deterministic once the goal is known, and its pages form a small graph: from a results page
every listed product is some clicks away, from a product page every choice of options, from everywhere
the start page with its search box. Backward induction over that graph gives the optimal value, with one
restriction that is stated rather than hidden: new searches are limited to the expert's queries for the
goal (search text is unbounded) and made on the start page, where they are admissible. Values need the
goal and are for oracles and labels, never for an agent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product as cartesian

from agentq_envs.webshop.expert import goal_queries
from agentq_envs.webshop.goals import Goal
from agentq_envs.webshop.pages import PAGE_SIZE
from agentq_envs.webshop.server import WebShopServer
from agentq_envs.webshop.session import Session

GAMMA = 0.98  # per step: of two ways to the same purchase the shorter one is better
_Key = tuple[str, tuple[tuple[str, str], ...]]


@dataclass
class Lookahead:
    """Optimal values for one goal; caches what each product and query can still bring."""

    server: WebShopServer
    goal: Goal
    gamma: float = GAMMA
    _best: dict[_Key, list[float]] = field(default_factory=dict[_Key, list[float]])
    _rankings: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def action_values(self, session: Session, actions: Sequence[str], steps: int) -> list[float]:
        """Reward of each action plus the discounted value of where it leads, ``steps`` actions being left."""
        values: list[float] = []
        for action in actions:
            after = session.copy()
            outcome = self.server.act(after, action)
            later = 0.0 if outcome.done else self.gamma * self.value(after, steps - 1)
            values.append(outcome.reward + later)
        return values

    def value(self, session: Session, steps: int) -> float:
        """Best discounted reward within ``steps`` actions; a purchase by the next one counts in full."""
        if session.page == "done" or steps <= 0:
            return 0.0
        anew = self._search(steps) if session.page == "search" else self.gamma * self._search(steps - 1)
        if session.page == "search":
            return anew
        found, page = self.server.all_results(session), session.page_number or 0
        if session.page == "results":
            return max(anew, self._results(found, page, steps))
        to_item = 0 if session.page == "item" else 1  # clicks from a sub page to its product
        here = self.gamma**to_item * self._item(str(session.asin), session.options, steps - to_item)
        back = to_item + 1
        there = self.gamma**back * self._results(found, page, steps - back)
        return max(anew, here, there)

    def _search(self, steps: int) -> float:
        queries = goal_queries(self.server, self.goal)
        return self.gamma * max(self._results(self._ranking(query), 1, steps - 1) for query in queries)

    def _ranking(self, query: str) -> list[str]:
        if query not in self._rankings:
            positions = self.server.search(tuple(query.split(" ")))
            self._rankings[query] = [self.server.catalogue.products[i].asin for i in positions]
        return self._rankings[query]

    def _results(self, found: Sequence[str], page: int, steps: int) -> float:
        best = 0.0
        clicks = {asin: abs(rank // PAGE_SIZE + 1 - page) + 1 for rank, asin in enumerate(found)}
        # The goal's own product first: it nearly always settles that far products need no look.
        for asin in sorted(clicks, key=lambda a: (a != self.goal.asin, clicks[a])):
            reached = self.gamma ** clicks[asin]  # times a reward of at most 1
            if clicks[asin] < steps and reached > best:
                best = max(best, reached * self._item(asin, {}, steps - clicks[asin]))
        return best

    def _item(self, asin: str, chosen: Mapping[str, str], steps: int) -> float:
        """Best purchase of a product on whose page we are, by number of option clicks before it."""
        rewards = self._purchases(asin, chosen)
        return max(
            (self.gamma**clicks * reward for clicks, reward in enumerate(rewards[:steps])), default=0.0
        )

    def _purchases(self, asin: str, chosen: Mapping[str, str]) -> list[float]:
        """Best reward after exactly 0, 1, 2, ... option clicks.

        A choice only counts through the goal options that it matches, so values that match none are left out.
        """
        key = asin, tuple(sorted(chosen.items()))
        if key not in self._best:
            bare = self._reward(asin, {})
            useful = {
                name: [value for value in values if self._reward(asin, {name: value}) > bare]
                for name, values in self.server.item_page(asin).choices.items()
            }
            names = [name for name, values in useful.items() if values]
            best = [0.0] * (len(names) + 1)
            for values in cartesian(*([None, *useful[name]] for name in names)):
                picked = {name: value for name, value in zip(names, values, strict=True) if value is not None}
                clicks = sum(chosen.get(name) != value for name, value in picked.items())
                best[clicks] = max(best[clicks], self._reward(asin, {**chosen, **picked}))
            self._best[key] = best
        return self._best[key]

    def _reward(self, asin: str, options: Mapping[str, str]) -> float:
        return self.server.reward(self.goal, asin, options).total
