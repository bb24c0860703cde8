"""What the environment searches: one interface, and the plain implementation in memory.

``similar`` is a lexical score that is the same everywhere: titles with more distinct words of the query come
first, equal ones in the order of their titles.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Protocol

from agentq.errors import DataError
from agentq_data.hotpotqa.pages import WikiPage
from agentq_envs.hotpotqa.pages import Page, kept_paragraphs

SIMILAR = 5  # titles named when a page is missing
_QUERY_WORDS = 8  # distinct words of a query that count, the first ones
_WORD = re.compile(r"[^\W_]+")


class Corpus(Protocol):
    """Pages by title."""

    @property
    def content_hash(self) -> str:
        """SHA-256, in hex, over all pages in title order."""
        ...

    def __len__(self) -> int:
        """Number of pages."""
        ...

    def page(self, title: str) -> Page | None:
        """The page of that title, ignoring case and outer spaces; None: there is none.

        Of titles that differ in case alone the one spelt as asked, else the first, is meant.
        """
        ...

    def similar(self, query: str, limit: int = SIMILAR) -> list[str]:
        """Titles that share a word with the query, best first."""
        ...


def title_key(title: str) -> str:
    """Titles with the same key are the same to ``Corpus.page``."""
    return title.strip().lower()


def title_order(title: str) -> tuple[str, str]:
    """The sort key of "the order of titles"."""
    return title_key(title), title


def title_words(text: str) -> list[str]:
    """Distinct words in order: letters and digits, case and accents folded."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return list(dict.fromkeys(_WORD.findall(plain)))


def query_words(text: str) -> list[str]:
    """The words of a query that count."""
    return title_words(text)[:_QUERY_WORDS]


def hashed(title: str, text: str) -> bytes:
    """What a page adds to the content hash of its corpus."""
    return f"{len(title)} {len(text)}\n{title}\n{text}\n".encode()


class MemoryCorpus:
    """A corpus of a few pages, compared one by one; the reference for the indexed one."""

    def __init__(self, pages: Iterable[WikiPage]) -> None:
        """Of pages with the same title the first one counts. Raises DataError without any page."""
        kept: dict[str, Page] = {}
        for page in pages:
            kept.setdefault(page.title, Page(page.title, kept_paragraphs(page.text)))
        if not kept:
            raise DataError("there are no pages to search. Give questions with contexts, or a corpus.")
        self._pages: Sequence[Page] = sorted(kept.values(), key=lambda page: title_order(page.title))
        self._words = [frozenset(title_words(page.title)) for page in self._pages]
        self._by_key: dict[str, Page] = {}
        self._exact = kept
        for page in self._pages:
            self._by_key.setdefault(title_key(page.title), page)

    @property
    def content_hash(self) -> str:
        """SHA-256, in hex, over all pages in title order."""
        digest = hashlib.sha256()
        for page in self._pages:
            digest.update(hashed(page.title, page.text))
        return digest.hexdigest()

    def __len__(self) -> int:
        """Number of pages."""
        return len(self._pages)

    def page(self, title: str) -> Page | None:
        """See ``Corpus``."""
        return self._exact.get(title.strip()) or self._by_key.get(title_key(title))

    def similar(self, query: str, limit: int = SIMILAR) -> list[str]:
        """See ``Corpus``."""
        wanted = frozenset(query_words(query))
        shared = [(-len(wanted & words), i) for i, words in enumerate(self._words)]
        return [self._pages[i].title for score, i in sorted(shared)[:limit] if score < 0]
