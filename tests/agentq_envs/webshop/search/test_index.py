from __future__ import annotations

import gzip
import json
import math
import resource
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentq.errors import ConfigError, DataError
from agentq_envs.webshop.search.analyzer import analyze
from agentq_envs.webshop.search.bm25 import quantised_lengths
from agentq_envs.webshop.search.index import SearchIndex, document_text


def check_bm25(rows: Iterable[dict[str, Any]], catalogue: Mapping[str, str]) -> list[bool]:
    """One verdict per row of bm25.jsonl; `catalogue` maps ASIN to index text (all products, in order)."""
    index = SearchIndex.build(catalogue.items())
    verdicts: list[bool] = []
    for row in rows:
        found = [(index.asin(position), score) for position, score in index.search_scored(row["query"])]
        same_order = [asin for asin, _ in found] == [asin for asin, _ in row["hits"]]
        pairs = zip(found, row["hits"], strict=False)
        verdicts.append(same_order and all(abs(ours[1] - theirs[1]) <= 1e-4 for ours, theirs in pairs))
    return verdicts


def shared_index_texts(webshop: Path) -> dict[str, str]:
    """Index text per ASIN of the shared catalogue."""
    texts: dict[str, str] = {}
    for product in json.loads(gzip.decompress((webshop / "items_shuffle_1000.json.gz").read_bytes())):
        options = {
            name.lower(): [entry["value"].strip().replace("/", " | ").lower() for entry in entries]
            for name, entries in (product["customization_options"] or {}).items()
            if entries is not None
        }
        bullets = product["small_description"]
        bullets = bullets if isinstance(bullets, list) else [bullets]
        texts[product["asin"]] = document_text(product["name"], product["full_description"], bullets, options)
    return texts


def test_reference_rankings(shared_data: Path):
    webshop = shared_data / "webshop"
    lines = gzip.decompress((webshop / "vectors" / "bm25.jsonl.gz").read_bytes()).splitlines()
    verdicts = check_bm25([json.loads(line) for line in lines], shared_index_texts(webshop))
    assert len(verdicts) == 205
    assert all(verdicts)


def coded_length(length: int) -> int:
    """Lucene's one-byte length code, the slow way: four leading bits of what exceeds 24."""
    if length <= 24:
        return length
    bits = bin(length - 24)[2:]
    return 24 + int(bits[:4] + "0" * len(bits[4:]), 2)


def brute_force(documents: list[tuple[str, str]], query: str, k: int) -> list[tuple[int, float]]:
    """The formula of the reference, one document at a time."""
    one, k1, b = np.float32(1), np.float32(0.9), np.float32(0.4)
    tokens = [analyze(text) for _, text in documents]
    average = np.float32(sum(map(len, tokens)) / len(tokens))
    scores: dict[int, float] = {}
    for term, repeats in Counter(analyze(query)).items():
        n = sum(term in words for words in tokens)
        rarity = np.float32(math.log(1 + (len(tokens) - n + 0.5) / (n + 0.5)))
        weight = np.float32(repeats) * rarity
        for position, words in enumerate(tokens):
            if tf := words.count(term):
                norm = one / (k1 * ((one - b) + b * np.float32(coded_length(len(words))) / average))
                part = weight - weight / (one + np.float32(tf) * norm)
                scores[position] = scores.get(position, 0.0) + float(part)
    rounded = [(position, float(np.float32(score))) for position, score in scores.items()]
    return sorted(rounded, key=lambda hit: (-hit[1], documents[hit[0]][0]))[:k]


WORDS = st.sampled_from(["red", "shoes", "shoe", "the", "cotton", "9.5", "men's", "★", "blue", "running"])
TEXTS = st.lists(WORDS, max_size=60).map(" ".join)
CATALOGUES = st.lists(TEXTS, min_size=1, max_size=12).flatmap(
    lambda texts: st.permutations(range(len(texts))).map(
        lambda order: [(f"B{number:03d}", text) for number, text in zip(order, texts, strict=True)]
    )
)


@settings(max_examples=60, deadline=None)
@given(documents=CATALOGUES, query=TEXTS, k=st.integers(1, 6))
def test_fast_equals_brute_force(documents: list[tuple[str, str]], query: str, k: int):
    index = SearchIndex.build(documents)
    expected = brute_force(documents, query, k)
    assert index.search_scored(query, k) == expected
    assert index.search(query, k) == [position for position, _ in expected]


def test_score_computed_by_hand():
    # N = 2, n = 1, both documents of average length: c = 1 / 0.9, w = ln(1 + 1.5 / 1.5) = ln 2.
    index = SearchIndex.build([("A", "red red shoe"), ("B", "blue hat box")])
    [(position, score)] = index.search_scored("red")
    assert position == 0
    assert score == pytest.approx(math.log(2) * (1 - 1 / (1 + 2 / 0.9)), rel=1e-6)
    # A term asked for twice counts twice.
    assert index.search_scored("red red")[0][1] == pytest.approx(2 * score, rel=1e-6)


def test_ties_go_by_asin_even_at_the_cut():
    index = SearchIndex.build([("C", "red"), ("A", "red"), ("D", "red"), ("B", "red")])
    assert index.search("red", k=3) == [1, 3, 0]
    assert [index.asin(position) for position in index.search("red")] == ["A", "B", "C", "D"]


@pytest.mark.parametrize(
    ("length", "coded"),
    [
        (0, 0),
        (24, 24),
        (25, 25),
        (40, 40),
        (41, 40),
        (42, 42),
        (55, 54),
        (56, 56),
        (59, 56),
        (60, 60),
        (151, 144),
    ],
)
def test_quantised_length(length: int, coded: int):
    assert quantised_lengths(np.array([length])).tolist() == [coded]
    assert coded_length(length) == coded


def test_quantised_lengths_agree_over_a_wide_range():
    lengths = np.arange(100_000)
    assert quantised_lengths(lengths).tolist() == [coded_length(length) for length in range(100_000)]


@pytest.mark.parametrize("query", ["", "   ", "the of and", "unknownword", "___", "\ud800"])
def test_query_without_indexed_term_finds_nothing(query: str):
    index = SearchIndex.build([("A", "red shoe"), ("B", "")])
    assert index.search(query) == []


def test_empty_catalogue_and_wrong_k():
    assert SearchIndex.build([]).search("red") == []
    with pytest.raises(ConfigError, match="k=0"):
        SearchIndex.build([("A", "red")]).search("red", k=0)


def test_results_are_copies_of_the_cache():
    index = SearchIndex.build([("A", "red"), ("B", "red")])
    index.search("red").clear()
    index.search_scored("red").clear()
    assert index.search("red") == [0, 1]
    assert SearchIndex.build([("A", "red"), ("B", "red")], cache_size=0).search("red") == [0, 1]


def test_very_long_query_ranks_like_a_short_one():
    index = SearchIndex.build([("A", "blue"), ("B", "red"), ("C", "red red")])
    assert index.search("red " * 25_000) == index.search("red") == [2, 1]


def test_document_text():
    options = {"color": ["red", "blue | green"], "size": ["Large"]}
    text = document_text("Shoe", "Nice", ["First", "Second"], options)
    assert text == "shoe nice first color: red, blue | green, and size: large"
    assert document_text("Shoe", "Nice", [], {}) == "shoe nice "
    assert document_text("Shoe", "Nice", [None], {}) == "shoe nice  "


DOCUMENTS = [
    (f"B{(7 * number) % 40:02d}", " ".join(["red shoe", "cotton " * (number % 5), f"size {number % 7} ★ é"]))
    for number in range(40)
]
QUERIES = ["red shoe", "cotton", "size 3 cotton", "★", "é size 6", "nothing"]


@pytest.mark.parametrize("run_tokens", [1, 50, 10**9])
def test_streamed_index_equals_memory(tmp_path: Path, run_tokens: int):
    memory = SearchIndex.build(DOCUMENTS)
    built = SearchIndex.build(iter(DOCUMENTS), tmp_path / "deep" / "index", run_tokens=run_tokens)
    reopened = SearchIndex.open(tmp_path / "deep" / "index")
    for disk in (built, reopened):
        assert [disk.search_scored(query, 10) for query in QUERIES] == [
            memory.search_scored(query, 10) for query in QUERIES
        ]
        assert (len(disk), disk.total_tokens, disk.content_hash) == (
            40,
            memory.total_tokens,
            memory.content_hash,
        )
        assert [disk.asin(position) for position in range(40)] == [asin for asin, _ in DOCUMENTS]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["index"]


def test_stored_arrays_do_not_depend_on_the_run_size(tmp_path: Path):
    for name, run_tokens in (("small", 30), ("large", 10**9)):
        SearchIndex.build(DOCUMENTS, tmp_path / name, run_tokens=run_tokens)
    contents = [
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("small", "large")
    ]
    assert len(contents[0]) == 8
    assert contents[0] == contents[1]


def test_content_hash_tells_catalogues_apart():
    hashes = {SearchIndex.build(part).content_hash for part in (DOCUMENTS, DOCUMENTS[:-1], DOCUMENTS[::-1])}
    assert len(hashes) == 3


def test_empty_index_on_disk(tmp_path: Path):
    SearchIndex.build([], tmp_path / "index")
    assert len(SearchIndex.open(tmp_path / "index")) == 0
    assert SearchIndex.open(tmp_path / "index").search("red") == []


def test_an_index_is_replaced_and_anything_else_is_not(tmp_path: Path):
    target = tmp_path / "index"
    SearchIndex.build(DOCUMENTS, target)
    SearchIndex.build(DOCUMENTS[:3], target)
    assert len(SearchIndex.open(target)) == 3
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("keep")
    with pytest.raises(DataError, match="not a search index"):
        SearchIndex.build(DOCUMENTS, tmp_path / "notes")
    assert (tmp_path / "notes" / "mine.txt").read_text() == "keep"


def test_repeated_asin_is_named(tmp_path: Path):
    repeated = [("A", "red"), ("B", "blue"), ("A", "green")]
    with pytest.raises(DataError, match=r"'A' occurs twice \(documents 0 and 2\)"):
        SearchIndex.build(repeated)
    with pytest.raises(DataError, match="occurs twice"):
        SearchIndex.build(repeated, tmp_path / "index")
    assert list(tmp_path.iterdir()) == []


def edit_description(directory: Path, **changes: object) -> None:
    path = directory / "index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_newer_and_older_versions_say_what_to_do(tmp_path: Path):
    SearchIndex.build(DOCUMENTS, tmp_path / "index")
    edit_description(tmp_path / "index", version=99)
    with pytest.raises(DataError, match=r"format version 99.*Upgrade agentq"):
        SearchIndex.open(tmp_path / "index")
    edit_description(tmp_path / "index", version=0)
    with pytest.raises(DataError, match=r"format version 0.*Build the index again"):
        SearchIndex.open(tmp_path / "index")


def test_missing_index_says_how_to_build_one(tmp_path: Path):
    with pytest.raises(DataError, match="holds no search index"):
        SearchIndex.open(tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("index.json", lambda data: data[:-20]),
        ("index.json", lambda data: b"[]"),
        ("index.json", lambda data: data.replace(b'"total_tokens"', b'"other"')),
        ("documents.bin", lambda data: data[:-4]),
        ("documents.bin", lambda data: bytes([data[0] ^ 1]) + data[1:]),
        ("saturations.bin", lambda data: data + b"\0\0\0\0"),
        ("asins.bin", lambda data: data[::-1]),
        ("term_bytes.bin", None),
    ],
)
def test_damage_is_found(tmp_path: Path, name: str, damage: Any):
    SearchIndex.build(DOCUMENTS, tmp_path / "index")
    path = tmp_path / "index" / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=r"damaged: .*(Delete the directory and build)"):
        SearchIndex.open(tmp_path / "index")


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """Files of this process may not grow beyond `limit` bytes: writes fail like on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("limit", [0, 100, 500, 900])
def test_full_disk_leaves_nothing(tmp_path: Path, limit: int):
    with full_disk(limit), pytest.raises(DataError, match=r"could not be written.*free some space"):
        SearchIndex.build(DOCUMENTS, tmp_path / "index", run_tokens=100)
    assert list(tmp_path.iterdir()) == []


def test_full_disk_at_the_last_file_leaves_nothing(tmp_path: Path):
    with full_disk(900), pytest.raises(DataError):  # three documents: only index.json is larger
        SearchIndex.build(DOCUMENTS[:3], tmp_path / "index")
    assert list(tmp_path.iterdir()) == []


def test_full_disk_keeps_the_old_index(tmp_path: Path):
    SearchIndex.build(DOCUMENTS[:3], tmp_path / "index")
    with full_disk(500), pytest.raises(DataError):
        SearchIndex.build(DOCUMENTS, tmp_path / "index")
    assert len(SearchIndex.open(tmp_path / "index")) == 3


def test_failing_documents_leave_nothing(tmp_path: Path):
    def broken() -> Iterator[tuple[str, str]]:
        yield ("A", "red")
        raise FileNotFoundError("catalogue.jsonl")

    with pytest.raises(FileNotFoundError, match="catalogue"):
        SearchIndex.build(broken(), tmp_path / "index")
    assert list(tmp_path.iterdir()) == []


def test_unwritable_place_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="no search index can be made at"):
        SearchIndex.build(DOCUMENTS, tmp_path / "file" / "index")
