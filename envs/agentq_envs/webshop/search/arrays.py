"""The flat arrays that make up an index, and the last steps of a build that memory and disk share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agentq.errors import DataError
from agentq_envs.webshop.search.bm25 import inverse_norms, saturations
from agentq_envs.webshop.search.inversion import RunBuilder


@dataclass(frozen=True)
class IndexArrays:
    """An inverted index over N documents, T terms and P postings.

    term_bytes: all terms one after another (UTF-8, ascending), uint8; term_starts: (T + 1,) int64 into it;
    posting_starts: (T + 1,) int64 into the postings; documents: (P,) int32, ascending within a term;
    saturations: (P,) float32, 1 + tf * c of BM25; asins: (N,) UTF-8 bytes; ranks: (N,) int32, place of a
    document in ASIN order (decides ties); content_hash: SHA-256 of the indexed documents in order.
    """

    term_bytes: npt.NDArray[np.uint8]
    term_starts: npt.NDArray[np.int64]
    posting_starts: npt.NDArray[np.int64]
    documents: npt.NDArray[np.int32]
    saturations: npt.NDArray[np.float32]
    asins: npt.NDArray[np.bytes_]
    ranks: npt.NDArray[np.int32]
    total_tokens: int
    content_hash: str


class Intake:
    """Passes documents on while it keeps their ASINs and hashes what was indexed."""

    def __init__(self) -> None:
        self.asins: list[bytes] = []
        self._digest = hashlib.sha256()

    def texts(self, documents: Iterable[tuple[str, str]]) -> Iterator[str]:
        """Texts of (ASIN, text) pairs, in order."""
        for asin, text in documents:
            encoded = asin.encode("utf-8", "surrogatepass")
            self.asins.append(encoded)
            self._digest.update(encoded + b"\0" + text.encode("utf-8", "surrogatepass") + b"\0")
            yield text

    @property
    def content_hash(self) -> str:
        """SHA-256 of all documents so far, in hexadecimal."""
        return self._digest.hexdigest()


def asin_ranks(asins: npt.NDArray[np.bytes_]) -> npt.NDArray[np.int32]:
    """Place of each document in ASIN order, (N,) int32. Raises DataError for an ASIN that occurs twice."""
    order = np.argsort(asins, kind="stable")
    ordered = asins[order]
    repeated = np.flatnonzero(ordered[1:] == ordered[:-1])
    if repeated.size:
        first, second = sorted((int(order[repeated[0]]), int(order[repeated[0] + 1])))
        asin = asins[first].decode("utf-8", "replace")
        raise DataError(
            f"ASIN {asin!r} occurs twice (documents {first} and {second}); "
            "an index needs distinct ASINs. Drop the repeats, as the catalogue loader does."
        )
    ranks = np.empty(len(asins), dtype=np.int32)
    ranks[order] = np.arange(len(asins), dtype=np.int32)
    return ranks


def document_norms(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """BM25's c of every document, (N,) float32; zeros when no document holds an indexed token."""
    total = int(lengths.sum())
    if total == 0:
        return np.zeros(len(lengths), dtype=np.float32)
    return inverse_norms(lengths, total / len(lengths))


def build_arrays(documents: Iterable[tuple[str, str]]) -> IndexArrays:
    """Index (ASIN, text) pairs in memory. Raises DataError for an ASIN that occurs twice."""
    intake = Intake()
    builder = RunBuilder()
    for text in intake.texts(documents):
        builder.add(text)
    run = builder.finish()
    asins = np.array(intake.asins, dtype=np.bytes_)
    norms = document_norms(run.lengths)
    sizes = [len(word) for word in run.terms]
    return IndexArrays(
        term_bytes=np.frombuffer(b"".join(run.terms), dtype=np.uint8),
        term_starts=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        posting_starts=run.starts,
        documents=run.documents,
        saturations=saturations(run.counts, norms[run.documents]),
        asins=asins,
        ranks=asin_ranks(asins),
        total_tokens=int(run.lengths.sum()),
        content_hash=intake.content_hash,
    )
