"""Streamed build of an index directory: sorted runs of bounded size, merged once.

Memory: one run of documents (its tokens and vocabulary) plus some 60 bytes a document for lengths and ASINs.
Disk while building: about twice the finished index.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
import numpy.typing as npt

from agentq_envs.webshop.search.arrays import Intake, asin_ranks, document_norms
from agentq_envs.webshop.search.bm25 import saturations
from agentq_envs.webshop.search.inversion import InvertedRun, RunBuilder
from agentq_envs.webshop.search.storage import (
    ArrayFile,
    array_path,
    new_directory,
    write_description,
)

_CHUNK = 1 << 22  # bytes of postings scored at a time


@dataclass(frozen=True)
class _StoredRun:
    """A run on disk: one term per line, and the arrays of InvertedRun."""

    number: int
    folder: Path

    @classmethod
    def store(cls, run: InvertedRun, number: int, folder: Path) -> _StoredRun:
        stored = cls(number, folder)
        with stored._terms.open("wb") as file:
            file.writelines(word + b"\n" for word in run.terms)
        for name in ("starts", "documents", "counts"):
            stored._array(name).write_bytes(getattr(run, name).tobytes())
        return stored

    @property
    def _terms(self) -> Path:
        return self.folder / f"run-{self.number}.terms"

    def _array(self, name: str) -> Path:
        return self.folder / f"run-{self.number}.{name}"

    def postings(self) -> Iterator[tuple[bytes, int, bytes, bytes]]:
        """(term, run number, documents, counts) in term order, one term in memory at a time."""
        sizes = 4 * np.diff(np.fromfile(self._array("starts"), dtype=np.int64))
        with (
            self._terms.open("rb") as terms,
            self._array("documents").open("rb") as documents,
            self._array("counts").open("rb") as counts,
        ):
            for line, size in zip(terms, sizes.tolist(), strict=True):
                yield line[:-1], self.number, documents.read(size), counts.read(size)


def _store_runs(
    texts: Iterable[str], folder: Path, run_tokens: int
) -> tuple[list[_StoredRun], npt.NDArray[np.int64]]:
    """Runs in document order, and the token count of every document, (N,)."""
    runs: list[_StoredRun] = []
    lengths: list[npt.NDArray[np.int64]] = []
    first_document = 0
    builder = RunBuilder()

    def finish() -> None:
        run = builder.finish()
        lengths.append(run.lengths)
        runs.append(_StoredRun.store(run, len(runs), folder))

    for text in texts:
        builder.add(text)
        if builder.tokens >= run_tokens:
            finish()
            first_document += builder.documents
            builder = RunBuilder(first_document)
    finish()
    return runs, np.concatenate(lengths)


def _merge_runs(runs: list[_StoredRun], files: dict[str, ArrayFile], counts_path: Path) -> None:
    """Join the runs term by term; documents stay ascending because runs follow document order."""
    term_end = posting_end = 0
    start_of_all = np.zeros(1, dtype="<i8").tobytes()
    files["term_starts"].append(start_of_all)
    files["posting_starts"].append(start_of_all)
    with counts_path.open("wb") as counts_file:
        for word, pieces in groupby(merge(*(run.postings() for run in runs)), key=itemgetter(0)):
            for _, _, documents, counts in pieces:
                files["documents"].append(documents)
                counts_file.write(counts)
                posting_end += len(documents) // 4
            term_end += len(word)
            files["term_bytes"].append(word)
            files["term_starts"].append(term_end.to_bytes(8, "little"))
            files["posting_starts"].append(posting_end.to_bytes(8, "little"))


def _append_saturations(
    file: ArrayFile, documents_path: Path, counts_path: Path, lengths: npt.NDArray[np.int64]
) -> None:
    """Score parts of every posting; only now is the average length known."""
    norms = document_norms(lengths)
    with documents_path.open("rb") as documents, counts_path.open("rb") as counts:
        while chunk := documents.read(_CHUNK):
            norms_of_postings = norms[np.frombuffer(chunk, dtype=np.int32)]
            tfs = np.frombuffer(counts.read(_CHUNK), dtype=np.int32)
            file.append(saturations(tfs, norms_of_postings).tobytes())


def build_directory(documents: Iterable[tuple[str, str]], directory: Path, run_tokens: int) -> None:
    """Index (ASIN, text) pairs into a directory, holding about `run_tokens` tokens in memory at a time.

    An index already there is replaced. Raises DataError for an ASIN that occurs twice and when the disk is
    full; then, and when the iterator itself raises, nothing is left behind.
    """
    intake = Intake()
    with new_directory(directory) as working:
        scratch = working.parent
        runs, lengths = _store_runs(intake.texts(documents), scratch, run_tokens)
        asins = np.array(intake.asins, dtype=np.bytes_)
        files: dict[str, ArrayFile] = {}
        with ExitStack() as stack:
            for name in ("term_bytes", "term_starts", "posting_starts", "documents"):
                files[name] = stack.enter_context(ArrayFile(array_path(working, name)))
            _merge_runs(runs, files, scratch / "counts")
        with ExitStack() as stack:
            for name in ("saturations", "asins", "ranks"):
                files[name] = stack.enter_context(ArrayFile(array_path(working, name)))
            _append_saturations(files["saturations"], files["documents"].path, scratch / "counts", lengths)
            files["asins"].append(asins.tobytes())
            files["ranks"].append(asin_ranks(asins).tobytes())
        write_description(
            working,
            files,
            asin_bytes=asins.dtype.itemsize,
            total_tokens=int(lengths.sum()),
            content_hash=intake.content_hash,
        )
