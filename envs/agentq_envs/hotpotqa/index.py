"""A corpus of any size in one SQLite file with a full-text index over its titles.

Rows are numbered in the order of titles, and FTS5 returns matches by row number, so the first rows of a match
are already its best: a search reads a few rows, however many pages share a common word.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

from agentq.errors import DataError
from agentq_data.hotpotqa.pages import WikiPage, read_pages
from agentq_envs.hotpotqa.corpus import SIMILAR, hashed, query_words, title_key, title_order, title_words
from agentq_envs.hotpotqa.pages import Page, kept_paragraphs

FORMAT = 1
_PAGES_KEPT = 512  # in memory, of one process
_SCHEMA = """
CREATE TABLE pages (row INTEGER PRIMARY KEY, key TEXT NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
# Words are folded before they get here; the ascii tokenizer then cuts at the spaces between them and nowhere else.
_TITLES = "CREATE VIRTUAL TABLE titles USING fts5(words, content='', detail=none, tokenize='ascii')"


class SqliteCorpus:
    """A corpus file made by ``build_corpus``; safe to share between threads, and to pickle."""

    def __init__(self, path: str | Path) -> None:
        """Raises DataError when the file is missing, no corpus, or of another format."""
        self.path = Path(path)
        self._local = threading.local()
        if not self.path.is_file():
            raise DataError(f"{self.path}: there is no such corpus. Make it with build_corpus().")
        try:
            about = dict(self._connection().execute("SELECT name, value FROM about"))
        except sqlite3.DatabaseError as error:
            raise DataError(
                f"{self.path} is no corpus ({error}). Make one from a dump with build_corpus(), "
                "or `python -m agentq_envs.hotpotqa.index DUMP FILE`."
            ) from error
        if about.get("format") != str(FORMAT):
            raise DataError(
                f"{self.path} has the corpus format {about.get('format')}, expected {FORMAT}. Build it again."
            )
        self.content_hash = str(about["content_hash"])
        self._size = int(about["pages"])
        self._found = lru_cache(_PAGES_KEPT)(self._find)

    def __reduce__(self) -> tuple[type[SqliteCorpus], tuple[Path]]:
        return SqliteCorpus, (self.path,)

    def __len__(self) -> int:
        """Number of pages."""
        return self._size

    def page(self, title: str) -> Page | None:
        """See ``Corpus``."""
        return self._found(title.strip())

    def similar(self, query: str, limit: int = SIMILAR) -> list[str]:
        """See ``Corpus``: titles with all words of the query, then those with all but one, and so on."""
        words, rows = query_words(query), list[int]()
        for size in range(len(words), 0, -1):
            # Everything with more words in common was found before, or there would be enough already.
            at_least = " OR ".join(
                f"({' AND '.join(map(_quoted, some))})" for some in combinations(words, size)
            )
            for row in self._matching(at_least, limit):
                if row not in rows:
                    rows.append(row)
            if len(rows) >= limit:
                break
        return [self._title(row) for row in rows[:limit]]

    def _find(self, title: str) -> Page | None:
        query = "SELECT title, text FROM pages WHERE key = ? ORDER BY title <> ?, row LIMIT 1"
        found = self._connection().execute(query, (title_key(title), title)).fetchone()
        return None if found is None else Page(*found)

    def _matching(self, expression: str, limit: int) -> list[int]:
        query = "SELECT rowid FROM titles WHERE titles MATCH ? ORDER BY rowid LIMIT ?"
        return [row for (row,) in self._connection().execute(query, (expression, limit))]

    def _title(self, row: int) -> str:
        return str(self._connection().execute("SELECT title FROM pages WHERE row = ?", (row,)).fetchone()[0])

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection; a forked process opens its own."""
        if getattr(self._local, "process", None) != os.getpid():
            uri = f"{self.path.resolve().as_uri()}?mode=ro&immutable=1"
            self._local.connection = sqlite3.connect(uri, uri=True)
            self._local.process = os.getpid()
        return self._local.connection


def build_corpus(pages: Iterable[WikiPage], path: str | Path) -> SqliteCorpus:
    """Write the corpus file of a stream of pages; memory does not grow with their number.

    Of pages with the same title the first one counts. The file appears when it is complete: after a crash
    there is the old one or none. Raises DataError without any page, or when the file cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as scratch:
            finished = Path(scratch) / "corpus"
            with closing(sqlite3.connect(finished)) as database:
                _fill(database, Path(scratch) / "unsorted", pages)
            with finished.open("rb") as written:
                os.fsync(written.fileno())
            os.replace(finished, path)
    except (OSError, sqlite3.OperationalError) as error:
        raise DataError(
            f"{path}: cannot write the corpus ({error}). Name a writable folder with space for two copies of it."
        ) from error
    return SqliteCorpus(path)


def _fill(database: sqlite3.Connection, unsorted: Path, pages: Iterable[WikiPage]) -> None:
    # Nothing is worth keeping before the end, so no journal; large sorts go to files.
    database.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA temp_store=FILE;")
    database.execute("ATTACH ? AS scratch", (str(unsorted),))
    database.executescript(
        "PRAGMA scratch.journal_mode=OFF; PRAGMA scratch.synchronous=OFF; PRAGMA scratch.cache_size=-131072;"
    )
    database.execute(
        "CREATE TABLE scratch.given (key TEXT, title TEXT, text TEXT, PRIMARY KEY (key, title)) WITHOUT ROWID"
    )
    database.executescript(_SCHEMA)
    database.execute(_TITLES)
    with database:
        database.executemany("INSERT OR IGNORE INTO scratch.given VALUES (?, ?, ?)", _rows(pages))
    digest, count = hashlib.sha256(), 0
    with database:
        sorted_rows: Any = database.execute("SELECT key, title, text FROM scratch.given ORDER BY key, title")
        for count, (key, title, text) in enumerate(sorted_rows, start=1):
            digest.update(hashed(title, text))
            database.execute("INSERT INTO pages VALUES (?, ?, ?, ?)", (count, key, title, text))
            words = " ".join(title_words(title))
            database.execute("INSERT INTO titles (rowid, words) VALUES (?, ?)", (count, words))
        if not count:
            raise DataError("there are no pages to index. Check the dump.")
        about = {"format": FORMAT, "pages": count, "content_hash": digest.hexdigest()}
        database.executemany("INSERT INTO about VALUES (?, ?)", [(k, str(v)) for k, v in about.items()])
        database.execute("INSERT INTO titles (titles) VALUES ('optimize')")
    database.execute("CREATE INDEX by_key ON pages (key)")
    database.execute("DETACH scratch")


def _rows(pages: Iterable[WikiPage]) -> Iterator[tuple[str, str, str]]:
    for page in pages:
        key, title = title_order(page.title)
        yield key, title, kept_paragraphs(page.text)


def _quoted(word: str) -> str:
    return f'"{word}"'


def main() -> int:
    """Index a dump; exit status 2 when it cannot be read or the file cannot be written."""
    parser = argparse.ArgumentParser(prog="python -m agentq_envs.hotpotqa.index", description=__doc__)
    parser.add_argument(
        "dump", type=Path, help="file, folder or archive of pages, see agentq_data.hotpotqa.pages"
    )
    parser.add_argument("corpus", type=Path, help="the file to write")
    options = parser.parse_args()
    try:
        corpus = build_corpus(read_pages(options.dump), options.corpus)
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{corpus.path}: {len(corpus)} pages, hash {corpus.content_hash[:12]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
