"""What two pages that were read say of each other: whose number is greater, and what both of them name.

Which of two numbers is smaller, and whether two pages name the same studio, is plain to any reader and slow to learn
for a model of a few million weights. This text works both out, from the sentences that the prompt shows and from
nothing else. Which of it answers the question it does not say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_YEAR = re.compile(r"(?<![\w,.])(?:1\d{3}|20\d{2})(?![\d,]*\d)")
_NUMBER = re.compile(r"(?<![\w,.])\d+(?:,\d{3})*(?:\.\d+)?(?!\d|\s[A-Z])")  # "12 July" is no count
_NAME = re.compile(r"[A-Z][\w'’-]*(?:\s(?:(?:of|the|in)\s)*[A-Z][\w'’-]*)*")
_WORD = re.compile(r"\b[a-z][a-z-]{2,}")
_LEADING = re.compile(r"^The\s")
_QUALIFIER = re.compile(r"\s\([^()]*\)$")  # of "A Heart in June (film)"
_COMMON = re.compile("and|are|for|from|has|its|lies|old|that|the|was|which|with|who|whose")
_CONTEXT = 2  # words before a name, or behind it
_SHARED = 4  # names and words at most


@dataclass(frozen=True, slots=True)
class Page:
    """A title with the sentences of it that were read."""

    title: str  # without what tells it from pages of the same name
    sentences: Sequence[str]

    @classmethod
    def of(cls, title: str, sentences: Sequence[str]) -> Page:
        """A page as a question speaks of it."""
        return cls(plain_title(title), sentences)

    def number(self, kind: re.Pattern[str], *, but: re.Pattern[str] | None = None) -> str | None:
        """The first number of a kind that is not of another kind."""
        found = (
            match[0] for sentence in self.sentences for match in kind.finditer(self._without_title(sentence))
        )
        return next((number for number in found if not (but and but.fullmatch(number))), None)

    def names(self) -> Mapping[str, str]:
        """Names on the page but its own, each with the words around its first mention."""
        found: dict[str, str] = {}
        for sentence in self.sentences:
            plain = self._without_title(sentence)
            for match in _NAME.finditer(plain):
                name = _LEADING.sub("", match[0])
                opens = not plain[: match.start()].strip() and " " not in name  # any word begins so
                if not opens and name not in found:
                    before = plain[: match.start()].split()[-_CONTEXT:]
                    found[name] = " ".join(before or plain[match.end() :].split()[:_CONTEXT]).strip(" ,.()")
        return found

    def opening_words(self) -> list[str]:
        """The small words of the first sentence that was read, of three letters and more."""
        first = self._without_title(self.sentences[0]) if self.sentences else ""
        return [word for word in dict.fromkeys(_WORD.findall(first)) if not _COMMON.fullmatch(word)]

    def _without_title(self, sentence: str) -> str:
        return sentence.replace(self.title, "")


def compared(question: str, pages: Mapping[str, Sequence[str]], argument: str) -> Iterator[str]:
    """What the two newest pages that the question names say of each other; an action's own page comes first.

    ``pages`` holds the sentences read, by title, in the order of reading. With fewer than two such pages read it
    names those that were.
    """
    read = [Page.of(title, sentences) for title, sentences in pages.items() if title]
    asked = [page for page in read if _in(page.title, question)][-2:]
    yield f"pages: {'; '.join(page.title for page in asked) or 'none'}"
    if len(asked) < 2:
        return
    own, other = sorted(asked, key=lambda page: page.title.lower() != plain_title(argument).lower())  # stable
    yield from _numbers(own, other)
    yield f"both: {'; '.join(_shared(own, other, question)) or 'nothing'}"


def plain_title(title: str) -> str:
    """A title without the words in brackets that tell it from pages of the same name."""
    return _QUALIFIER.sub("", title)


def _numbers(own: Page, other: Page) -> Iterator[str]:
    for kind, less, more in ((_YEAR, "earlier than", "later than"), (_NUMBER, "less than", "more than")):
        but = _YEAR if kind is _NUMBER else None
        here, there = own.number(kind, but=but), other.number(kind, but=but)
        if here or there:
            mark = _order(here, there, less, more)
            yield f"{own.title} {here or 'unknown'} {mark} {there or 'unknown'} {other.title}"


def _order(here: str | None, there: str | None, less: str, more: str) -> str:
    if here is None or there is None:
        return "and"
    first, second = (float(number.replace(",", "")) for number in (here, there))
    return less if first < second else more if first > second else "as"


def _shared(own: Page, other: Page, question: str) -> list[str]:
    """Names and opening words of both pages that the question does not hold."""
    ours, theirs = own.names(), other.names()
    names = [
        f"{name} ({ours[name]}, {theirs[name]})" for name in ours if name in theirs and name not in question
    ]
    second = other.opening_words()
    words = [
        w for w in own.opening_words() if w in second and not _in(w, question) and not _in(f"{w}s", question)
    ]
    return [*words[:_SHARED], *names[:_SHARED]]


def _in(words: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text, re.IGNORECASE) is not None
