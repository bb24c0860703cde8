"""A scripted shopper that may read the goal: the upper bound of the environment, and a demonstrator.

The expert searches for the goal's product, opens it, sets the options that the goal asks for and buys.
It is privileged (an agent never sees the goal's ASIN) and serves for demonstrations, for continuations
from snapshots, and as the check that every task can be solved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentq_envs.webshop.colors import normalize_color
from agentq_envs.webshop.goals import Goal
from agentq_envs.webshop.matching import matches
from agentq_envs.webshop.pages import PAGE_SIZE
from agentq_envs.webshop.server import WebShopServer
from agentq_envs.webshop.session import Session


def goal_queries(server: WebShopServer, goal: Goal) -> list[str]:
    """Search texts for a goal, from what a shopper would type to the product's own title."""
    title = server.products[goal.asin].title
    return [" ".join([goal.query, *goal.attributes]), title.lower()]


def searched(actions: Sequence[str]) -> list[str]:
    """The search texts among actions."""
    return [action[7:-1] for action in actions if action.startswith("search[")]


def wanted_options(server: WebShopServer, goal: Goal, asin: str | None = None) -> dict[str, str]:
    """Option name -> value of a product (default: the goal's own) that the goal asks for.

    Values that no click can choose (they equal a button, or a later option has them too) are left out.
    """
    offered = server.item_page(asin or goal.asin).choices
    if isinstance(goal.goal_options, Mapping):
        named = goal.goal_options
        exact = {name: value for name, value in named.items() if value in offered.get(name, ())}
        if len(exact) == len(named):
            return exact
        values = list(named.values())
    else:  # human goals list bare values
        values = list(goal.goal_options)
    return _matching_options(offered, values)


def _matching_options(offered: Mapping[str, Sequence[str]], values: Sequence[str]) -> dict[str, str]:
    """The first value of each option that the reward would count for a wanted value, equal ones first."""
    found: dict[str, str] = {}
    for wanted in values:
        pairs = [(name, value) for name, all_values in offered.items() for value in all_values]
        pairs.sort(key=lambda pair: pair[1] != wanted.lower())
        goal = str(normalize_color(wanted))
        for name, value in pairs:
            if name not in found and matches(str(normalize_color(value)), goal):
                found[name] = value
                break
    return found


@dataclass(frozen=True)
class Expert:
    """Acts towards a goal from any state of an episode."""

    server: WebShopServer
    goal: Goal

    def act(self, session: Session, actions: Sequence[str] = ()) -> str:
        """The next action towards buying the goal's product with its options.

        ``actions`` are those of the episode so far: a query that was tried is not tried again.
        """
        if session.page == "search":
            return f"search[{self.next_query(searched(actions))}]"
        if session.page == "results":
            return self._on_results(session)
        if session.page == "item":
            return self._on_item(session)
        return "click[< prev]"

    def next_query(self, made: Sequence[str]) -> str:
        """The first query that was not made yet, else the product's title."""
        queries = goal_queries(self.server, self.goal)
        return next((query for query in queries if query not in made), queries[-1])

    def _on_results(self, session: Session) -> str:
        found = self.server.all_results(session)
        if self.goal.asin not in found:
            return "click[back to search]"
        page = found.index(self.goal.asin) // PAGE_SIZE + 1
        if page == session.page_number:
            return f"click[{self.goal.asin.lower()}]"
        return "click[next >]" if page > (session.page_number or 0) else "click[< prev]"

    def _on_item(self, session: Session) -> str:
        if session.asin != self.goal.asin:
            return "click[< prev]"
        for name, value in wanted_options(self.server, self.goal).items():
            if session.options.get(name) != value:
                return f"click[{value}]"
        return "click[buy now]"
