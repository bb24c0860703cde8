from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentq_envs.webshop.search.analyzer import STOP_WORDS, analyze
from agentq_envs.webshop.search.index import document_text
from agentq_envs.webshop.search.porter import stem
from agentq_envs.webshop.search.tokenizer import split_words


def check_analyzer(rows: Iterable[dict[str, Any]], catalogue: Mapping[str, str]) -> list[bool]:
    """One verdict per row of analyzer.jsonl; `catalogue` maps ASIN to index text (all products)."""
    verdicts: list[bool] = []
    for row in rows:
        if row["kind"] == "index_totals":
            tokens = sum(len(analyze(text)) for text in catalogue.values())
            verdicts.append(len(catalogue) == row["n_docs"] and tokens == row["total_tokens"])
        else:
            text = catalogue[row["asin"]] if row["kind"] == "document" else row["text"]
            verdicts.append(analyze(text) == row["tokens"])
    return verdicts


def shared_index_texts(webshop: Path) -> dict[str, str]:
    """Index text per ASIN of the shared catalogue, read here without the loader under test elsewhere."""
    texts: dict[str, str] = {}
    for product in json.loads(gzip.decompress((webshop / "items_shuffle_1000.json.gz").read_bytes())):
        options = {
            name.lower(): [entry["value"].strip().replace("/", " | ").lower() for entry in entries]
            for name, entries in (product["customization_options"] or {}).items()
            if entries is not None
        }
        bullets = product["small_description"]
        texts[product["asin"]] = document_text(
            product["name"],
            product["full_description"],
            bullets if isinstance(bullets, list) else [bullets],
            options,
        )
    return texts


def test_reference_tokens(shared_data: Path):
    webshop = shared_data / "webshop"
    lines = gzip.decompress((webshop / "vectors" / "analyzer.jsonl.gz").read_bytes()).splitlines()
    rows = [json.loads(line) for line in lines]
    verdicts = check_analyzer(rows, shared_index_texts(webshop))
    assert len(verdicts) == 256
    assert all(verdicts)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        (" \n\t", []),
        ("the of and", []),
        ("The Of AND", []),
        ("men's women\u2019s O'Neill's kids\uff07S", ["men", "women", "o'neil", "kid"]),
        ("a's it's", []),  # what is left after the possessive is a stop word
        ("' 's s's", ["s", "s"]),
        ("1,234.50 9.5cm 3;4 1/2 5'6\" 3\u20444", ["1,234.50", "9.5cm", "3;4", "1", "2", "5'6", "3\u20444"]),
        ("e.g. x:y a.1 1.a .5", ["e.g", "x:y", "1", "1", "5"]),
        ("wi-fi a01#pink r.brown-hole1887", ["wi", "fi", "a01", "pink", "r.brown", "hole1887"]),
        ("a_b _x_ ___ é__ \u00e9_", ["a_b", "_x_", "é__", "é_"]),
        ("\u00bd x\u00b2 \u00b2", ["x"]),
        ("caf\u00e9 na\u00efve\u0301", ["caf\u00e9", "na\u00efve\u0301"]),
        (
            "\u2605new\u2605 \u2661 \u266c\u00a9\u2122",
            ["\u2605", "new", "\u2605", "\u2661", "\u266c", "\u00a9", "\u2122"],
        ),
        ("\U0001f44d\U0001f3fd\U0001f600", ["\U0001f44d\U0001f3fd", "\U0001f600"]),
        ("\U0001f469\u200d\U0001f52c ok\u2764\ufe0f", ["\U0001f469\u200d\U0001f52c", "ok", "\u2764\ufe0f"]),
        (
            "5\ufe0f\u20e3 #\ufe0f\u20e3 # \U0001f1e9\U0001f1ea",
            ["5\ufe0f\u20e3", "#\ufe0f\u20e3", "\U0001f1e9\U0001f1ea"],
        ),
        (
            "\u3010\u5c3a\u5bf8\u3011\u3072\u3089\u30ab\u30bf",
            ["\u5c3a", "\u5bf8", "\u3072", "\u3089", "\u30ab\u30bf"],
        ),
        ("\u0e01\u0e32\u0e23 \ud55c\uad6d", ["\u0e01\u0e32\u0e23", "\ud55c\uad6d"]),
        ("\u039f\u0394\u039f\u03a3 \u0130X", ["\u03bf\u03b4\u03bf\u03c3", "ix"]),  # Java: no final sigma
        ("\ud800 lone", ["lone"]),
    ],
)
def test_tokens_of_small_texts(text: str, tokens: list[str]):
    assert analyze(text) == tokens


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        # Examples of Porter's article, one or more for each step, plus the three later departures.
        *[
            ("caresses", "caress"),
            ("ponies", "poni"),
            ("caress", "caress"),
            ("cats", "cat"),
            ("feed", "feed"),
        ],
        *[
            ("agreed", "agre"),
            ("plastered", "plaster"),
            ("bled", "bled"),
            ("motoring", "motor"),
            ("sing", "sing"),
        ],
        *[("conflated", "conflat"), ("troubled", "troubl"), ("sized", "size"), ("hopping", "hop")],
        *[
            ("falling", "fall"),
            ("hissing", "hiss"),
            ("fizzed", "fizz"),
            ("failing", "fail"),
            ("filing", "file"),
        ],
        *[("happy", "happi"), ("sky", "sky"), ("relational", "relat"), ("conditional", "condit")],
        *[
            ("rational", "ration"),
            ("valenci", "valenc"),
            ("digitizer", "digit"),
            ("vietnamization", "vietnam"),
        ],
        *[
            ("hopefulness", "hope"),
            ("triplicate", "triplic"),
            ("formative", "form"),
            ("electrical", "electr"),
        ],
        *[("goodness", "good"), ("allowance", "allow"), ("adjustable", "adjust"), ("replacement", "replac")],
        *[("adoption", "adopt"), ("communism", "commun"), ("effective", "effect"), ("probate", "probat")],
        *[
            ("rate", "rate"),
            ("cease", "ceas"),
            ("controll", "control"),
            ("roll", "roll"),
            ("trekking", "trek"),
        ],
        *[("technology", "technolog"), ("possibly", "possibl"), ("is", "is"), ("by", "by"), ("toy", "toi")],
    ],
)
def test_porter(word: str, expected: str):
    assert stem(word) == expected


def test_there_are_33_stop_words():
    assert len(STOP_WORDS) == 33


def test_words_above_255_characters_are_cut():
    assert split_words("a" * 600) == ["a" * 255, "a" * 255, "a" * 90]
    assert split_words("a" * 254 + ".b") == ["a" * 254, "b"]
    assert split_words("é" * 256) == ["é" * 255, "é"]


@given(st.text(max_size=300))
def test_any_text_gives_clean_tokens(text: str):
    tokens = analyze(text)
    assert all(token and not any(c in " \t\n" for c in token) for token in tokens)
    assert analyze(text + " \n") == tokens


@given(st.text(st.sampled_from("aZ_5.,:;' \"#-\n"), max_size=60))
def test_ascii_path_equals_full_grammar(text: str):
    # A pictograph in the same blank-free stretch sends the stretch through the full grammar.
    expected = split_words(text)
    full = [word for part in text.split() for word in split_words("\u2605" + part) if word != "\u2605"]
    assert [word for word in expected if word.strip("_")] == full


@pytest.mark.parametrize(
    "unit", ["_", "a_", "é_", "_.", "\u200d", "\u0301", "1,", "\u2605\u200d", "#\ufe0f", "a'"]
)
def test_time_grows_linearly_with_hostile_text(unit: str):
    started = time.perf_counter()
    assert isinstance(analyze("é" + unit * (100_000 // len(unit))), list)
    assert time.perf_counter() - started < 5.0
