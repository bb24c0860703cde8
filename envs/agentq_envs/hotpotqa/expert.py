"""The scripted expert and exact lookahead: read every supporting fact, then give the answer.

Both know the question's supporting facts and its answer (privileged). Of all ways to answer after reading every
fact the shortest is taken, and its length is exact: each page with an unread fact must be opened once unless it
is open, a search shows the first five sentences, and each later sentence takes one lookup.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from agentq_data.hotpotqa.questions import Question
from agentq_envs.hotpotqa.corpus import Corpus
from agentq_envs.hotpotqa.pages import SHOWN, Page
from agentq_envs.hotpotqa.session import Session, advance

GAMMA = 0.98  # per step: of two ways to the answer the shorter one is better
_WORD = re.compile(r"[^\W_]{3,}")
_EXTRA = re.compile(r" \([^)]*\)$")  # of "The Silent Room (film)"


@dataclass
class Expert:
    """Plans for one question, from any state of an episode."""

    question: Question
    corpus: Corpus
    _evidence: list[tuple[Page, tuple[int, ...]]] = field(init=False)

    def __post_init__(self) -> None:
        self._evidence = evidence(self.question, self.corpus)

    @property
    def informed(self) -> bool:
        """Whether the corpus holds a fact that supports the answer."""
        return bool(self._evidence)

    def plan(self, session: Session) -> list[str]:
        """The actions from here to the answer, ``finish`` included."""
        missing = [
            (page, [i for i in places if (page.title, i) not in session.read])
            for page, places in self._evidence
        ]
        missing = [(page, places) for page, places in missing if places]
        actions: list[str] = []
        known = " ".join((self.question.question, *(turn.observation for turn in session.turns)))
        missing.sort(key=lambda entry: (entry[0].title != session.page, not _named(entry[0].title, known)))
        for page, places in missing:
            if page.title != session.page:
                actions.append(f"search[{page.title}]")
                places = [i for i in places if i >= SHOWN]
            done = session if page.title == session.page else Session(session.task, page.title)
            actions += [self._lookup(page, place, done) for place in places]
        return [*actions, f"finish[{self.question.answer}]"]

    def act(self, session: Session) -> str:
        """The next action of the plan."""
        return self.plan(session)[0]

    def value(self, session: Session, steps: int, gamma: float = GAMMA) -> float:
        """Discounted reward of answering after reading every fact, within ``steps`` actions; 0 if they are too few.

        An answer by the next action counts in full.
        """
        if session.ended:
            return 0.0
        needed = len(self.plan(session))
        return gamma ** (needed - 1) if needed <= steps else 0.0

    def action_values(
        self, session: Session, actions: Sequence[str], steps: int, gamma: float = GAMMA
    ) -> list[float]:
        """Reward of each action plus the discounted value of where it leads, ``steps`` actions being left."""
        values: list[float] = []
        for action in actions:
            outcome = advance(session, action, self.corpus, str(self.question.answer))
            values.append(outcome.reward + gamma * self.value(outcome.session, steps - 1, gamma))
        return values

    def _lookup(self, page: Page, place: int, session: Session) -> str:
        """A lookup whose next result is that sentence: by a word of the question if possible, else any."""
        sentence = page.sentences[place]
        asked = {word.lower() for word in _WORD.findall(self.question.question)}
        words = sorted(
            dict.fromkeys(_WORD.findall(sentence)), key=lambda w: (w.lower() not in asked, -len(w))
        )
        for keyword in (*words, sentence.rstrip(".").partition("]")[0]):
            shown = session.results if session.keyword == keyword else 0
            if page.matches(keyword)[shown : shown + 1] == (place,):
                return f"lookup[{keyword}]"
        # Only a repeated sentence gets here: its copies come before it, one lookup each.
        return f"lookup[{sentence.rstrip('.').partition(']')[0]}]"


def evidence(question: Question, corpus: Corpus) -> list[tuple[Page, tuple[int, ...]]]:
    """Pages of the corpus and the sentences of them that support the answer, in the order of the question.

    Facts that the corpus does not hold, or that cannot be searched for, are left out.
    """
    found: dict[str, tuple[Page, set[int]]] = {}
    contexts = dict(question.context)
    for title, number in question.supporting_facts:
        page = corpus.page(title)
        if page is None or page.ambiguous or page.title != title or "]" in title:
            continue
        places = _places(page, number, contexts.get(title))
        found.setdefault(title, (page, set()))[1].update(places)
    return [(page, tuple(sorted(places))) for page, places in found.values() if places]


def _places(page: Page, number: int, sentences: Sequence[str] | None) -> list[int]:
    """Where sentence ``number`` of a context stands in the page: several pieces if it holds abbreviations."""
    count = len(page.sentences) if sentences is None else len(sentences)
    if not 0 <= number < count:
        return []  # some official facts point behind the end
    if sentences is None or page.text != "".join(sentences):
        return [number] if number < len(page.sentences) else []
    text = sentences[number]
    end = sum(map(len, sentences[:number])) + len(text.rstrip())
    start = end - len(text.strip())
    ends = [*(offset for offset, _ in page.pieces[1:]), len(page.text) + 1]
    return [i for i, (at, _) in enumerate(page.pieces) if at < end and ends[i] > start]


def _named(title: str, text: str) -> bool:
    return _EXTRA.sub("", title) in text
