"""Demonstrators of mixed quality: shoppers with the habits that real logs show.

Logged shopping sessions are not an expert plus white noise; they are biased. People click the first
result, forget to choose a size, buy something close enough, or look around and never buy. A policy that
imitates such logs copies the habits; a critic that sees how the sessions end can tell them apart. Every
habit here is a probability per decision.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from agentq_envs.webshop.expert import Expert, searched, wanted_options
from agentq_envs.webshop.goals import Goal
from agentq_envs.webshop.pages import BACK, BUY, NEXT, PREVIOUS, SUB_PAGES, ResultsPage
from agentq_envs.webshop.server import WebShopServer
from agentq_envs.webshop.session import Session


@dataclass(frozen=True, slots=True)
class Habits:
    """Probabilities of one shopper's lapses; all 0 is the careful shopper."""

    vague_query: float = 0.0  # search with few words of the goal
    first_result: float = 0.0  # open the first product shown
    any_result: float = 0.0  # open some product shown
    skip_option: float = 0.0  # leave an option as it is and go on
    wrong_option: float = 0.0  # choose another value
    settle: float = 0.0  # keep a wrong product instead of going back
    wander: float = 0.0  # look around: page through results, read descriptions, start anew


CAREFUL = Habits(vague_query=0.1, wander=0.05)
HASTY = Habits(0.5, 0.5, 0.1, 0.6, 0.1, 0.7, 0.1)  # takes what comes first and skips the options
SLOPPY = Habits(0.5, 0.25, 0.3, 0.3, 0.4, 0.4, 0.2)  # confuses products and options
BROWSER = Habits(0.6, 0.2, 0.4, 0.2, 0.3, 0.05, 0.85)  # looks around and hardly ever buys
POPULATION = ((CAREFUL, 0.55), (HASTY, 0.10), (SLOPPY, 0.10), (BROWSER, 0.25))
# What looking around means: kind of action -> weight; a product or option is drawn evenly.
_WANDERING = {NEXT: 5.0, PREVIOUS: 3.0, BACK: 1.0, "sub page": 2.5, "other": 2.0}


def draw_habits(rng: random.Random, browsers: float = 0.25) -> Habits:
    """One shopper of the population that our demonstrations come from, with a share of browsers 0..1."""
    others = 1.0 - next(share for kind, share in POPULATION if kind is BROWSER)
    kinds = [habits for habits, _ in POPULATION]
    shares = [browsers if kind is BROWSER else share / others * (1 - browsers) for kind, share in POPULATION]
    return rng.choices(kinds, shares)[0]


@dataclass
class Shopper:
    """Acts with a set of habits towards a goal; privileged like the expert it lapses from."""

    server: WebShopServer
    goal: Goal
    habits: Habits
    rng: random.Random

    def act(self, session: Session, actions: Sequence[str]) -> str:
        """The next action, given those of the episode so far: the expert's, or a lapse from it."""
        if session.page == "search":
            return f"search[{self._query(searched(actions))}]"
        if session.page != "done" and self.rng.random() < self.habits.wander:
            return self._wander(session)
        if session.page == "results":
            return self._on_results(session, actions)
        if session.page == "item":
            return self._on_item(session)
        return "click[< prev]"

    def _wander(self, session: Session) -> str:
        kinds: dict[str, list[str]] = {}
        for action in self.server.admissible(session):
            button = action[6:-1]  # click[...]
            kind = button if button in _WANDERING else "sub page" if button in SUB_PAGES else "other"
            if button != BUY:
                kinds.setdefault(kind, []).append(action)
        kind = self.rng.choices(list(kinds), [_WANDERING[kind] for kind in kinds])[0]
        return self.rng.choice(kinds[kind])

    def _query(self, made: Sequence[str]) -> str:
        attributes = list(self.goal.attributes)
        self.rng.shuffle(attributes)
        if self.rng.random() < self.habits.vague_query:
            attributes = attributes[: self.rng.randint(0, 1)]
        words = [self.goal.query, *attributes] if self.rng.random() < 0.5 else [*attributes, self.goal.query]
        query = " ".join(words)
        # The same words would find the same page again.
        return Expert(self.server, self.goal).next_query(made) if query in made else query

    def _on_results(self, session: Session, actions: Sequence[str]) -> str:
        page = self.server.page(session)
        links = list(page.links) if isinstance(page, ResultsPage) else []
        roll = self.rng.random()
        if links and roll < self.habits.first_result:
            return f"click[{links[0]}]"
        if links and roll < self.habits.first_result + self.habits.any_result:
            return f"click[{self.rng.choice(links)}]"
        return Expert(self.server, self.goal).act(session, actions)

    def _on_item(self, session: Session) -> str:
        if session.asin != self.goal.asin and self.rng.random() >= self.habits.settle:
            return "click[< prev]"
        wanted = wanted_options(self.server, self.goal, session.asin)
        for name, values in self.server.products[str(session.asin)].options.items():
            if session.options.get(name) == wanted.get(name) or not values:
                continue
            if name in session.options and self.rng.random() < 0.5:
                continue  # chosen wrongly and not noticed
            roll = self.rng.random()
            if roll < self.habits.skip_option:
                continue
            if roll < self.habits.skip_option + self.habits.wrong_option:
                return f"click[{self.rng.choice(values)}]"
            if name in wanted:
                return f"click[{wanted[name]}]"
        return f"click[{BUY}]"
