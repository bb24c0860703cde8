"""The product index: BM25 ranking equal to the reference, in memory or memory-mapped from a directory."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from agentq.errors import ConfigError
from agentq_envs.webshop.search.analyzer import analyze
from agentq_envs.webshop.search.arrays import IndexArrays, build_arrays
from agentq_envs.webshop.search.bm25 import term_weight
from agentq_envs.webshop.search.merge import build_directory
from agentq_envs.webshop.search.storage import open_arrays

RUN_TOKENS = 4_000_000  # of a streamed build: about 150 MB
_LONGEST_CACHED_QUERY = 1000  # characters; longer ones are rare and would make the cache heavy


def document_text(
    title: str, description: str, bullets: Sequence[str | None], options: Mapping[str, Sequence[str]]
) -> str:
    """Index text of a product: title, description, first bullet only, options; lower-cased.

    `options` maps an option's name to its values. A product without a bullet is indexed without one (the
    reference converter fails there).
    """
    first_bullet = [bullets[0] or ""] if bullets else []
    listed = ", and ".join(f"{name}: {', '.join(values)}" for name, values in options.items())
    return " ".join([title, description, *first_bullet, listed]).lower()


class SearchIndex:
    """BM25 index over product texts; ranks as the WebShop reference does.

    Documents are addressed by position (their order when built). Order of results: score descending, ties by
    ASIN ascending. Safe to share between threads and, after `open`, between processes (the arrays are
    read-only).
    """

    def __init__(self, arrays: IndexArrays, cache_size: int = 4096) -> None:
        self._arrays = arrays
        self._cached_rank = lru_cache(maxsize=cache_size)(self._rank)

    @classmethod
    def build(
        cls,
        documents: Iterable[tuple[str, str]],
        directory: Path | None = None,
        *,
        cache_size: int = 4096,
        run_tokens: int = RUN_TOKENS,
    ) -> SearchIndex:
        """Index (ASIN, text) pairs in memory or, streamed, into a directory that `open` reads later.

        The stream holds about `run_tokens` tokens in memory; an index already in the directory is replaced.
        `cache_size` query results are kept (0: none). Raises DataError for an ASIN that occurs twice, for a
        directory that is no index, and when the disk is full; a failed build leaves nothing behind.
        """
        if directory is None:
            return cls(build_arrays(documents), cache_size)
        build_directory(documents, Path(directory), run_tokens)
        return cls.open(directory, cache_size=cache_size, verify=False)

    @classmethod
    def open(cls, directory: Path, *, cache_size: int = 4096, verify: bool = True) -> SearchIndex:
        """Map an index directory into memory; `verify` reads all of it once and compares the hashes.

        Raises DataError when the directory is no index, is damaged, or was written by a newer version.
        """
        return cls(open_arrays(Path(directory), verify), cache_size)

    @property
    def content_hash(self) -> str:
        """SHA-256 of the indexed documents: equal for the same (ASIN, text) pairs in the same order."""
        return self._arrays.content_hash

    @property
    def total_tokens(self) -> int:
        """Indexed tokens over all documents."""
        return self._arrays.total_tokens

    def __len__(self) -> int:
        return len(self._arrays.asins)

    def asin(self, position: int) -> str:
        """ASIN of the document at a position."""
        return bytes(self._arrays.asins[position]).decode("utf-8", "surrogatepass")

    def search(self, query: str, k: int = 50) -> list[int]:
        """Positions of the best k documents, best first; empty when no term of the query is indexed."""
        return [position for position, _ in self._hits(query, k)]

    def search_scored(self, query: str, k: int = 50) -> list[tuple[int, float]]:
        """Like `search`, with the BM25 score (float32 arithmetic) of each document."""
        return list(self._hits(query, k))

    def _hits(self, query: str, k: int) -> tuple[tuple[int, float], ...]:
        return self._cached_rank(query, k) if len(query) <= _LONGEST_CACHED_QUERY else self._rank(query, k)

    def _postings(self, term: str) -> slice:
        """Where a term's postings lie; an empty slice for an unknown term."""
        arrays = self._arrays
        wanted = term.encode()
        starts = arrays.term_starts

        def word(number: int) -> bytes:
            return arrays.term_bytes[starts[number] : starts[number + 1]].tobytes()

        terms = len(starts) - 1
        number = bisect_left(range(terms), wanted, key=word)
        if number == terms or word(number) != wanted:
            return slice(0, 0)
        return slice(int(arrays.posting_starts[number]), int(arrays.posting_starts[number + 1]))

    def _scores(self, query: str) -> np.ndarray:
        """BM25 score of every document, (N,) float32; zero where no term of the query occurs."""
        # Lucene adds the float32 parts of a document in double precision and rounds once at the end.
        total = np.zeros(len(self), dtype=np.float64)
        for term, repeats in Counter(analyze(query)).items():
            where = self._postings(term)
            if where.stop == where.start:
                continue
            weight = term_weight(repeats, len(self), where.stop - where.start)
            total[self._arrays.documents[where]] += weight - weight / self._arrays.saturations[where]
        return total.astype(np.float32)

    def _rank(self, query: str, k: int) -> tuple[tuple[int, float], ...]:
        if k < 1:
            raise ConfigError(f"k={k} results requested; expected at least 1.")
        scores = self._scores(query)
        found = np.flatnonzero(scores)
        if len(found) > k:
            kth_score = np.partition(scores[found], len(found) - k)[len(found) - k]
            found = found[scores[found] >= kth_score]  # all documents that tie with the last one stay
        order = np.lexsort((self._arrays.ranks[found], -scores[found]))[:k]
        best = found[order]
        return tuple(zip(best.tolist(), scores[best].tolist(), strict=True))
