"""Question files and page dumps in all forms in which they are published, and broken ones."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from agentq.errors import DataError
from agentq_data.hotpotqa.pages import WikiPage, read_pages
from agentq_data.hotpotqa.questions import context_pages, read_questions

QUESTION = {
    "_id": "5a",
    "question": "Who?",
    "answer": "She",
    "type": "bridge",
    "level": "hard",
    "supporting_facts": [["A", 0], ["B", 1]],
    "context": [["A", ["One.", " Two."]], ["B", ["Three.", " Four."]]],
}


@pytest.mark.parametrize("name", ["q.json", "q.jsonl", "q.json.gz"])
def test_lists_and_lines_are_read(tmp_path: Path, name: str) -> None:
    records = [QUESTION, {"idx": 7, "question": "When?"}]
    text = json.dumps(records) if "jsonl" not in name else "\n".join(map(json.dumps, records))
    (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    first, second = read_questions(tmp_path / name)
    assert (first.id, first.answer, first.supporting_facts) == ("5a", "She", (("A", 0), ("B", 1)))
    assert first.pages() == (WikiPage("A", "One. Two."), WikiPage("B", "Three. Four."))
    assert (second.id, second.answer, second.context) == ("7", None, ())


def test_a_title_counts_once(tmp_path: Path) -> None:
    other = {**QUESTION, "_id": "6", "context": [["A", ["Other."]], ["C", ["Five."]]]}
    (tmp_path / "q.json").write_text(json.dumps([QUESTION, other]))
    pages = context_pages(read_questions(tmp_path / "q.json"))
    assert (pages[0].title, pages[0].text) == ("A", "One. Two.")
    assert [page.title for page in pages] == ["A", "B", "C"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no questions"),
        ("[{]", "not readable"),
        ('[{"answer": "x"}]', "question 1 has no text"),
        ('[{"question": "x", "answer": 3}]', "has the answer 3"),
        ('[{"question": "x", "supporting_facts": [1]}]', "not as expected"),
        ('[{"question": "x", "id": 1}, {"question": "y", "id": 1}]', "occurs twice"),
    ],
)
def test_broken_question_files_say_what_is_wrong(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "q.json").write_text(content)
    with pytest.raises(DataError, match=message):
        read_questions(tmp_path / "q.json")


LINES = [
    {"id": 1, "title": "Plain", "text": "First line.\nSecond line."},
    {"id": 2, "title": "Sentences", "text": ["One.", " Two."], "charoffset": []},
    {"id": 3, "title": "Paragraphs", "text": [["Title"], ["One.", " Two."]]},
]
PAGES = [
    WikiPage("Plain", "First line.\nSecond line."),
    WikiPage("Sentences", "One. Two."),
    WikiPage("Paragraphs", "Title\nOne. Two."),
]


def lines(records: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def test_files_folders_and_archives_give_the_same_pages(tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_bytes(lines(LINES))
    folder = tmp_path / "dump" / "AA"
    folder.mkdir(parents=True)
    (folder / "wiki_00.bz2").write_bytes(bz2.compress(lines(LINES[:2])))
    (folder / "wiki_01.gz").write_bytes(gzip.compress(lines(LINES[2:])))
    (folder / "._wiki_01").write_bytes(b"not a page")
    with tarfile.open(tmp_path / "dump.tar.bz2", "w:bz2") as archive:
        for path in sorted(folder.iterdir()):
            content = path.read_bytes()
            member = tarfile.TarInfo(f"dump/{path.name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    for source in ("one.jsonl", "dump", "dump.tar.bz2"):
        assert list(read_pages(tmp_path / source)) == PAGES, source


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no page in it"),
        (b'{"title": "A"}\n', "line 1 is no page"),
        (b'\n{"title": "A", "text": 3}', "line 2"),
    ],
)
def test_broken_dumps_say_where(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "d.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_pages(tmp_path / "d.jsonl"))


def test_a_truncated_archive_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "d.bz2").write_bytes(bz2.compress(lines(LINES) * 50)[:60])
    with pytest.raises(DataError, match="cannot read"):
        list(read_pages(tmp_path / "d.bz2"))
    with pytest.raises(DataError, match="cannot read"):
        list(read_pages(tmp_path / "absent.jsonl"))
