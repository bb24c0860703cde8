"""Demonstrators of mixed quality: readers with the habits that logs of agents show.

They answer from the first page, open a page that the text merely mentions, do not look further when a fact is not
among the first sentences, or go round in circles. A policy that imitates such logs copies the habits; a critic
that sees how the episodes end can tell them apart. Every habit is a probability per decision.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from agentq_envs.hotpotqa.expert import Expert
from agentq_envs.hotpotqa.session import Session, open_page

_NAME = re.compile(r"\d[\d,]*\d|\d|[A-Z]\w+(?: (?:of |in |the )?[A-Z]\w+)*")
#: Capital letters that begin a sentence rather than a name.
_OPENERS = frozenset(
    re.findall(
        r"\w+",
        "A All An Are As At Business Could Critics Did Do Each Episode Every Floods For From How In Into Invalid Is "
        "It Its Lectures Most Nice No On One Otters Part Readers Result Several Similar Since Some The Two Visitors "
        "Were What Where Which Who",
    )
)
_WORD = re.compile(r"[^\W\d_]{4,}")
_CLOSED = ("yes", "no")


@dataclass(frozen=True, slots=True)
class ReadingHabits:
    """Probabilities of one reader's lapses; all 0 is the careful reader."""

    answer_early: float = 0.0  # answer from what was read so far instead of opening another page
    skip_lookup: float = 0.0  # answer instead of looking for a sentence that was not shown
    wrong_page: float = 0.0  # open another page that the text names
    wrong_answer: float = 0.0  # confuse the fact with another one
    wander: float = 0.0  # look something up, or open something, that leads nowhere


CAREFUL = ReadingHabits(wander=0.03)
HASTY = ReadingHabits(answer_early=0.35, skip_lookup=0.7, wrong_answer=0.15)
SLOPPY = ReadingHabits(0.1, 0.3, 0.35, 0.35, 0.1)
LOST = ReadingHabits(0.02, 0.2, 0.3, 0.1, 0.6)
POPULATION = ((CAREFUL, 0.5), (HASTY, 0.2), (SLOPPY, 0.15), (LOST, 0.15))


def draw_habits(rng: random.Random) -> ReadingHabits:
    """One reader of the population that our demonstrations come from."""
    return rng.choices([habits for habits, _ in POPULATION], [share for _, share in POPULATION])[0]


@dataclass
class Reader:
    """Acts with a set of habits; privileged like the expert it lapses from."""

    expert: Expert
    habits: ReadingHabits
    rng: random.Random

    @property
    def closed_answers(self) -> Sequence[str]:
        """The two answers that a comparison can have; empty: anything may be the answer."""
        question = self.expert.question
        if question.answer in _CLOSED:
            return _CLOSED
        return [title for title, _ in question.supporting_facts] if question.type == "comparison" else []

    def act(self, session: Session) -> str:
        """The next action: the expert's, or a lapse from it."""
        planned = self.expert.act(session)
        if self.rng.random() < self.habits.wander:
            return self._wander(session)
        roll = self.rng.random()
        if planned.startswith("search["):
            if session.turns and roll < self.habits.answer_early:
                return f"finish[{self._guess(session)}]"
            if roll < self.habits.answer_early + self.habits.wrong_page:
                return f"search[{self._mentioned(session)}]"
        elif planned.startswith("lookup["):
            if roll < self.habits.skip_lookup:
                return f"finish[{self._guess(session)}]"
        elif roll < self.habits.wrong_answer:
            return f"finish[{self._guess(session)}]"
        return planned

    def guesses(self, session: Session) -> Sequence[str]:
        """Answers of the right sort, mostly wrong: the two of a comparison, else what was read; may be empty."""
        if self.closed_answers:
            return self.closed_answers
        read = " ".join(turn.observation for turn in session.turns)
        numbers = str(self.expert.question.answer)[:1].isdigit()
        return [text for text in _names(read) if text[0].isdigit() == numbers]

    def _guess(self, session: Session) -> str:
        found = self.guesses(session)
        # No draw where there is no choice: the sessions of a seed stay what models were trained on.
        return self.rng.choice(found) if found else str(self.expert.question.answer)

    def _mentioned(self, session: Session) -> str:
        """Something that question or text names."""
        text = " ".join((self.expert.question.question, *(turn.observation for turn in session.turns[-2:])))
        names = [name for name in _names(text) if not name[0].isdigit()]
        return self.rng.choice(names) if names else self.expert.question.question

    def _wander(self, session: Session) -> str:
        if open_page(session, self.expert.corpus) is None or self.rng.random() < 0.5:
            return f"search[{self._mentioned(session)}]"
        return f"lookup[{self.rng.choice(_WORD.findall(self.expert.question.question))}]"


def _names(text: str) -> list[str]:
    """Distinct names and numbers in order; "The" stays where it belongs to a title."""
    found = dict.fromkeys(_NAME.findall(text))
    bare = (
        name.partition(" ")[2] if name.partition(" ")[0] in _OPENERS - {"The", "A"} else name
        for name in found
    )
    return [name for name in dict.fromkeys(bare) if name and name not in _OPENERS]
