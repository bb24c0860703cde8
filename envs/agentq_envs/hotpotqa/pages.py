"""Pages as the environment reads them: paragraphs, sentences, the first five, and those with a keyword.

Sentences are cut at ". " inside a line and every piece gets a full stop, so the last one often ends in two, and
abbreviations are cut as well. That is the ReAct environment ("ReAct: Synergizing Reasoning and Acting in Language
Models", arXiv 2210.03629) to the letter; published numbers rest on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

SHOWN = 5  # sentences of a page that a search shows
_FEWEST_WORDS = 3  # of a paragraph that is kept
_AMBIGUOUS = "may refer to:"


@dataclass(frozen=True)
class Page:
    """A page of the corpus; the lines of ``text`` are its paragraphs."""

    title: str
    text: str

    @cached_property
    def pieces(self) -> tuple[tuple[int, str], ...]:
        """(offset of the sentence in ``text``, sentence with its added full stop), in order."""
        return tuple((start, f"{text}.") for start, text in _pieces(self.text))

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """The sentences in order."""
        return tuple(sentence for _, sentence in self.pieces)

    @property
    def observation(self) -> str:
        """What a search shows: the first five sentences."""
        return " ".join(self.sentences[:SHOWN])

    @property
    def ambiguous(self) -> bool:
        """Whether the page only lists what its title may mean."""
        return _AMBIGUOUS in self.text

    def matches(self, keyword: str) -> tuple[int, ...]:
        """Indices of the sentences that contain the keyword, ignoring case."""
        wanted = keyword.lower()
        return tuple(i for i, sentence in enumerate(self.sentences) if wanted in sentence.lower())


def kept_paragraphs(text: str) -> str:
    """The text without paragraphs of two words or fewer, as pages are built from a dump."""
    return "\n".join(line for line in text.split("\n") if len(line.split(" ")) >= _FEWEST_WORDS)


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    at = 0
    for line in text.split("\n"):
        paragraph = line.strip()
        start = at + line.find(paragraph)
        for piece in paragraph.split(". "):
            sentence = piece.strip()
            if sentence:
                yield start + piece.find(sentence), sentence
            start += len(piece) + len(". ")
        at += len(line) + 1
