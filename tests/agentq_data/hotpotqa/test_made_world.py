"""The made world: its size, that it is the same everywhere, and that its questions have their answers."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from agentq.errors import DataError
from agentq_data.hotpotqa.generator import World, generate, write_world
from agentq_data.hotpotqa.pages import read_pages
from agentq_data.hotpotqa.questions import read_questions

# Of the files of seed 0; a change of either needs a new WORLD_VERSION and new panels.
PAGES_HASH = "76f87cc83057b9571da9450c0b70c12bda5f32b0bc985f09b1930f4f242e55d4"
QUESTIONS_HASH = "e5accfb4050eb181c6766bf07867a6286252c1230596d506c8ec580550d51c14"


@pytest.fixture(scope="module")
def world() -> World:
    return generate()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("world")
    write_world(where)
    return where


def test_it_is_large_enough_and_titles_are_unique(world: World) -> None:
    titles = {page.title.lower() for page in world.pages}
    assert len(titles) == len(world.pages) >= 2000
    kinds = Counter(question["type"] for question in world.questions)
    assert kinds["bridge"] >= 500
    assert kinds["comparison"] >= 500
    assert len({question["question"] for question in world.questions}) == len(world.questions)
    closed = Counter(q["answer"] for q in world.questions if q["answer"] in ("yes", "no"))
    assert min(closed.values()) > 0.4 * closed.total()


def test_bytes_never_change(folder: Path) -> None:
    digests = [
        hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ("pages.jsonl", "questions.json")
    ]
    assert digests == [PAGES_HASH, QUESTIONS_HASH]


def test_the_hash_seed_of_python_does_not_matter(tmp_path: Path) -> None:
    written: list[bytes] = []
    for number in ("1", "2"):
        where = tmp_path / number
        words = [
            sys.executable,
            "-m",
            "agentq_data.hotpotqa.generator",
            "--out",
            str(where),
            "--regions",
            "2",
        ]
        subprocess.run(words, check=True, env={**os.environ, "PYTHONHASHSEED": number}, timeout=60)
        written.append((where / "pages.jsonl").read_bytes() + (where / "questions.json").read_bytes())
    assert written[0] == written[1]


def test_answers_stand_in_their_supporting_sentences(world: World) -> None:
    sentences = {page.title: page.sentences for page in world.pages}
    for question in world.questions:
        facts = [sentences[title][place] for title, place in question["supporting_facts"]]
        assert len(facts) == 2
        answer = question["answer"]
        if question["type"] == "bridge":
            first, second = (title for title, _ in question["supporting_facts"])
            assert second in facts[0], question
            assert first.removesuffix(" (film)").removesuffix(" (novel)") in question["question"]
            assert second not in question["question"], question
            assert answer in facts[1], question
        else:
            assert answer in ("yes", "no") or answer in question["question"]


def test_sentences_survive_the_environments_cut(world: World) -> None:
    for page in world.pages:
        assert "".join(page.sentences).split(". ") == [
            text.strip().removesuffix("." if i < len(page.sentences) - 1 else "")
            for i, text in enumerate(page.sentences)
        ]


def test_files_are_in_the_documented_formats(folder: Path, world: World) -> None:
    pages = list(read_pages(folder / "pages.jsonl"))
    assert [page.title for page in pages] == [page.title for page in world.pages]
    questions = read_questions(folder / "questions.json")
    assert [q.answer for q in questions] == [q["answer"] for q in world.questions]


@pytest.mark.parametrize(("seed", "regions"), [(-1, 2), (0, 0), (0, 1000), (True, 2)])
def test_arguments_out_of_range_are_named(seed: int, regions: int) -> None:
    with pytest.raises(DataError, match="expected a whole number"):
        generate(seed, regions)
