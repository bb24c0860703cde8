"""One episode as a value: what is open, what was looked up, what has been read; and what an action makes of it.

The state is immutable and small, so it is its own snapshot. The published search code keeps it in the
environment, where a lookup in an older tree node reads whatever page was opened last; here it belongs to the node.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from agentq_envs.hotpotqa.actions import Action, parse_action
from agentq_envs.hotpotqa.corpus import Corpus
from agentq_envs.hotpotqa.pages import SHOWN, Page
from agentq_envs.hotpotqa.scoring import AnswerScore, score_answer

NO_MORE = "No more results.\n"


@dataclass(frozen=True, slots=True)
class Turn:
    """An action as it was given, and what was observed."""

    action: str
    observation: str


@dataclass(frozen=True, slots=True)
class Session:
    """The state of an episode; ``page`` is the title of the open page."""

    task: str
    page: str | None = None
    keyword: str | None = None  # of the lookup that goes on; None after a page was opened
    results: int = 0  # shown for that keyword
    turns: tuple[Turn, ...] = ()
    read: frozenset[tuple[str, int]] = frozenset()  # (title, sentence) that were shown
    answer: str | None = None  # given by finish
    truncated: bool = False

    @property
    def ended(self) -> bool:
        """Whether no action counts any more."""
        return self.answer is not None or self.truncated


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an action led to; ``score`` only after finish."""

    session: Session
    observation: str
    legal: bool = True
    score: AnswerScore | None = None

    @property
    def reward(self) -> float:
        """Exact match after finish, else 0."""
        return 0.0 if self.score is None else self.score.em

    def cut(self) -> Outcome:
        """The same as the last step that was allowed: without an answer the episode is truncated."""
        if self.session.answer is not None:
            return self
        return replace(self, session=replace(self.session, truncated=True))


def advance(session: Session, text: str, corpus: Corpus, gold: str) -> Outcome:
    """Take an action. Any text is accepted; what is no action changes nothing but the list of turns."""
    action = parse_action(text)
    if action is None:
        outcome = Outcome(session, f"Invalid action: {text}", legal=False)
    elif action.verb == "search":
        outcome = _search(session, action.argument, corpus)
    elif action.verb == "lookup":
        outcome = _lookup(session, action.argument, corpus)
    elif action.verb == "finish":
        outcome = _finish(session, action, gold)
    else:
        outcome = Outcome(session, "Nice thought.")
    turns = (*session.turns, Turn(text, outcome.observation))
    return replace(outcome, session=replace(outcome.session, turns=turns))


def open_page(session: Session, corpus: Corpus) -> Page | None:
    """The page that is open in a session, None: none is."""
    return None if session.page is None else corpus.page(session.page)


def _search(session: Session, title: str, corpus: Corpus) -> Outcome:
    page = corpus.page(title)
    if page is not None and page.ambiguous:  # asked again in brackets, which no page is called
        title = f"[{title}]"
        page = corpus.page(title)
    if page is None or page.ambiguous:
        return Outcome(session, f"Could not find {title}. Similar: {corpus.similar(title)}.")
    shown = {(page.title, i) for i in range(min(SHOWN, len(page.sentences)))}
    opened = replace(session, page=page.title, keyword=None, results=0, read=session.read | shown)
    return Outcome(opened, page.observation)


def _lookup(session: Session, keyword: str, corpus: Corpus) -> Outcome:
    page = open_page(session, corpus)
    found = () if page is None else page.matches(keyword)
    shown = session.results if session.keyword == keyword else 0
    if page is None or shown >= len(found):
        return Outcome(replace(session, keyword=keyword, results=shown), NO_MORE)
    sentence = found[shown]
    after = replace(session, keyword=keyword, results=shown + 1, read=session.read | {(page.title, sentence)})
    return Outcome(after, f"(Result {shown + 1} / {len(found)}) {page.sentences[sentence]}")


def _finish(session: Session, action: Action, gold: str) -> Outcome:
    score = score_answer(action.argument, gold)
    after = replace(session, answer=action.argument)
    return Outcome(after, f"Episode finished, reward = {int(score.em)}", score=score)
