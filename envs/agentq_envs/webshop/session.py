"""The state of one shopping session; everything else is shared between sessions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from agentq_envs.webshop.reward import Reward

PageKind: TypeAlias = Literal["search", "results", "item", "sub", "done"]


@dataclass(slots=True)
class Session:
    """Where a shopper is and what was chosen. Small and picklable; copy it with ``copy()``."""

    session_id: str  # appears in the URLs
    goal_index: int  # into the server's goals
    seed: int | str | None = None  # of random searches; None: the server's shared stream, as the reference
    page: PageKind = "search"
    keywords: tuple[str, ...] | None = None  # of the last search
    page_number: int | None = None  # of the results, from 1
    asin: str | None = None  # product of the item page and its sub pages
    sub_page: str | None = None  # "Description", "Features", "Reviews" or "Attributes"
    options: dict[str, str] = field(default_factory=dict[str, str])  # option name -> chosen value
    visited: set[str] = field(default_factory=set[str])  # ASINs opened since the last start page
    counts: dict[str, int] = field(
        default_factory=dict[str, int]
    )  # actions by kind, as the reference logs them
    url: str = ""
    done: bool = False  # something was bought
    reward: Reward | None = None  # of the last purchase
    random_searches: int = 0  # random result lists drawn so far
    random_results: tuple[int, ...] | None = None  # positions found by the last search if it was random

    def copy(self) -> Session:
        """An independent copy."""
        return replace(self, options=dict(self.options), visited=set(self.visited), counts=dict(self.counts))

    def count(self, kind: str) -> None:
        """Log one action."""
        self.counts[kind] = self.counts.get(kind, 0) + 1

    def start_over(self) -> None:
        """Back to the start page: all but the purchase record and the id is cleared."""
        self.page = "search"
        self.keywords = None
        self.page_number = None
        self.asin = None
        self.sub_page = None
        self.options = {}
        self.visited = set()
        self.counts = {}
        self.random_results = None
