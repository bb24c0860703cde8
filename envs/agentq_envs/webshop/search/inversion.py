"""From document texts to postings: one sorted run of the inverted index in memory."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agentq_envs.webshop.search.analyzer import term
from agentq_envs.webshop.search.tokenizer import split_words

_NOT_INDEXED = -1


@dataclass(frozen=True)
class InvertedRun:
    """Postings of consecutive documents, sorted by term (UTF-8 bytes), then document.

    terms: T distinct terms, ascending; starts: (T + 1,) where each term's postings begin;
    documents, counts: (P,) document number and occurrences per posting;
    lengths: (N,) indexed tokens per document.
    """

    terms: list[bytes]
    starts: npt.NDArray[np.int64]
    documents: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int64]


class _TermNumbers(dict[str, int]):
    """Raw token -> number of its term; each distinct raw token is analysed once."""

    def __init__(self) -> None:
        super().__init__()
        self.terms: dict[str, int] = {}

    def __missing__(self, word: str) -> int:
        found = term(word)
        number = self.terms.setdefault(found, len(self.terms)) if found else _NOT_INDEXED
        self[word] = number
        return number


class RunBuilder:
    """Collects documents; `finish` returns their inverted run. Memory: 4 bytes a token and the vocabulary."""

    def __init__(self, first_document: int = 0) -> None:
        self._first_document = first_document
        self._numbers = _TermNumbers()
        self._tokens = array("i")
        self._lengths = array("q")

    @property
    def tokens(self) -> int:
        """Indexed tokens collected so far."""
        return len(self._tokens)

    @property
    def documents(self) -> int:
        """Documents collected so far."""
        return len(self._lengths)

    def add(self, text: str) -> None:
        """Append one document."""
        numbers = map(self._numbers.__getitem__, split_words(text))
        before = len(self._tokens)
        self._tokens.extend([number for number in numbers if number != _NOT_INDEXED])
        self._lengths.append(len(self._tokens) - before)

    def finish(self) -> InvertedRun:
        """Invert what was added; the builder is not to be used afterwards."""
        lengths = np.array(self._lengths, dtype=np.int64)
        encoded = [word.encode() for word in self._numbers.terms]
        order = sorted(range(len(encoded)), key=encoded.__getitem__)
        sorted_number = np.empty(len(order), dtype=np.int64)
        sorted_number[order] = np.arange(len(order))

        # One sort groups equal (term, document) pairs: key = term * N + document.
        base = max(len(lengths), 1)
        keys = (
            sorted_number[np.frombuffer(self._tokens, dtype=np.int32)] if self._tokens else sorted_number[:0]
        )
        keys = keys * base + np.repeat(np.arange(len(lengths)), lengths)
        pairs, counts = np.unique(keys, return_counts=True)
        starts = np.searchsorted(pairs, np.arange(len(order) + 1) * base)
        return InvertedRun(
            terms=[encoded[number] for number in order],
            starts=starts.astype(np.int64),
            documents=(pairs % base + self._first_document).astype(np.int32),
            counts=counts.astype(np.int32),
            lengths=lengths,
        )
