"""The indexed corpus: equal to the plain one on any titles, atomic, shareable."""

from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentq.errors import DataError
from agentq_data.hotpotqa.pages import WikiPage
from agentq_envs.hotpotqa.corpus import MemoryCorpus
from agentq_envs.hotpotqa.index import SqliteCorpus, build_corpus

from .conftest import PAGES

_WORDS = st.sampled_from(
    ["ash", "Ash", "bell", "ferry", "of", "the", "Straße", "日本", "é", "AND", 'x"y', "(film)", "7"]
)
_TITLES = st.lists(_WORDS, min_size=1, max_size=4).map(" ".join)


@given(
    st.lists(_TITLES, min_size=1, max_size=25), st.lists(_TITLES, min_size=1, max_size=5), st.integers(1, 6)
)
@settings(max_examples=60, deadline=None)
def test_the_index_answers_like_the_plain_corpus(titles: list[str], queries: list[str], limit: int) -> None:
    pages = [WikiPage(title, f"Page number {i} is this.") for i, title in enumerate(titles)]
    plain = MemoryCorpus(pages)
    with tempfile.TemporaryDirectory() as folder:
        indexed = build_corpus(pages, Path(folder) / "c.sqlite")
        assert len(indexed) == len(plain)
        assert indexed.content_hash == plain.content_hash
        for query in (*queries, *titles, "", "a b c d e f g h i j ash bell", " ".join(titles)):
            assert indexed.similar(query, limit) == plain.similar(query, limit), query
            assert indexed.page(query) == plain.page(query), query


def test_order_of_the_stream_does_not_matter_but_the_first_of_a_title_counts(tmp_path: Path) -> None:
    forward = build_corpus(PAGES, tmp_path / "a.sqlite")
    backward = build_corpus(
        [*reversed(PAGES), WikiPage("Ash Hill", "Too late for this one.")], tmp_path / "b.sqlite"
    )
    assert forward.content_hash == backward.content_hash
    assert build_corpus(PAGES[:3], tmp_path / "c.sqlite").content_hash != forward.content_hash


def test_short_paragraphs_are_dropped(tmp_path: Path) -> None:
    corpus = build_corpus([WikiPage("A", "A\nHas Parts\nThis one stays.")], tmp_path / "c.sqlite")
    page = corpus.page("a")
    assert page is not None
    assert page.text == "This one stays."


def test_a_build_that_breaks_off_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "c.sqlite"
    before = build_corpus(PAGES, file).content_hash

    def broken() -> Iterator[WikiPage]:
        yield WikiPage("New", "It is a new page.")
        raise DataError("the dump is broken")

    with pytest.raises(DataError, match="the dump is broken"):
        build_corpus(broken(), file)
    assert SqliteCorpus(file).content_hash == before
    assert [path.name for path in tmp_path.iterdir()] == ["c.sqlite"]
    with pytest.raises(DataError, match="no pages to index"):
        build_corpus([], file)


def _titles(corpus: SqliteCorpus) -> list[str]:
    return corpus.similar("ferry")


def test_threads_and_processes_share_a_corpus(tmp_path: Path) -> None:
    corpus = build_corpus(PAGES, tmp_path / "c.sqlite")
    expected = _titles(corpus)
    assert expected == ["Ferry", "Ferry (boat)", "Otto Ferry"]
    found: list[list[str]] = []
    threads = [threading.Thread(target=lambda: found.append(_titles(corpus))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 8
    assert _titles(pickle.loads(pickle.dumps(corpus))) == expected
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(_titles, [corpus]) == [expected]


def test_the_command_indexes_a_dump(tmp_path: Path) -> None:
    (tmp_path / "dump.jsonl").write_text('{"title": "Ash", "text": "Ash is a tree."}\n')
    words = [
        sys.executable,
        "-m",
        "agentq_envs.hotpotqa.index",
        str(tmp_path / "dump.jsonl"),
        str(tmp_path / "c"),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "1 pages" in done.stdout
    assert SqliteCorpus(tmp_path / "c").similar("ash tree") == ["Ash"]
    words[-2] = str(tmp_path / "absent")
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "absent" in done.stderr


def test_other_files_are_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such corpus"):
        SqliteCorpus(tmp_path / "absent")
    (tmp_path / "text").write_text(
        "this is no database, and long enough for its header to be read as one " * 20
    )
    with pytest.raises(DataError, match="is no corpus"):
        SqliteCorpus(tmp_path / "text")
