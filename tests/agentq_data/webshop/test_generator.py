"""The generated catalogue: file format, counts, determinism, families, vocabulary rules."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from agentq.errors import DataError
from agentq_data.webshop.generator import CATALOGUE_VERSION, Catalogue, generate, write_catalogue
from agentq_data.webshop.generator.listing import KEYWORDS
from agentq_data.webshop.generator.requests import PATTERNS

_ROOT = Path(__file__).resolve().parents[3]
# Version 1, seed 0, 1,000 products: products, attribute file, human file. Trained models depend on them.
_DIGESTS = (
    "078919d8df4520a28bb683250d3b764a2f30ade2c29142d056003e97cc38ef2e",
    "296819f4dbf53373ed81d86cc82cbfe085b0e75e32d941cc2cee48ebd6cb5064",
    "6dcaea37233f9648b186391def2148a5440bffd236c82cba8ea85b898f919086",
)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return generate()


@pytest.fixture(scope="module")
def by_asin(catalogue: Catalogue) -> dict[str, dict[str, Any]]:
    return {p["asin"]: p for p in catalogue.products}


def _options(product: dict[str, Any]) -> dict[str, list[str]]:
    """Options as the official loader reads them."""
    entries = product["customization_options"] or {}
    return {name.lower(): [v["value"].strip().lower() for v in values] for name, values in entries.items()}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_counts_meet_what_the_card_promises(catalogue: Catalogue) -> None:
    products, entries = catalogue.products, catalogue.attributes.values()
    assert len(products) == len(catalogue.attributes) == 1000
    assert len({p["product_category"] for p in products}) >= 60
    assert {p["category"] for p in products} == {"beauty", "electronics", "garden", "fashion", "grocery"}
    assert len({a for e in entries for a in e["attributes"]}) >= 400
    assert len(catalogue.human) >= 300
    assert len(set(PATTERNS)) >= 40
    assert sum(len(f.asins) for f in catalogue.families) >= 600
    assert {f.difference for f in catalogue.families} == {"attribute", "option", "price"}


def test_goals_per_product_stay_moderate(catalogue: Catalogue) -> None:
    counts: list[int] = []
    for product in catalogue.products:
        options = _options(product)
        assert len(options) <= 3
        assert all(2 <= len(values) <= 5 for values in options.values())
        goals = 1
        for values in options.values():
            goals *= len(values)
        counts.append(goals)
    assert 8 <= sum(counts) / len(counts) <= 14


def test_products_satisfy_the_official_loader(catalogue: Catalogue) -> None:
    asins = [p["asin"] for p in catalogue.products]
    assert len(set(asins)) == 1000
    assert list(catalogue.attributes) == asins
    for product in catalogue.products:
        assert re.fullmatch(r"B[0-9]{9}", product["asin"])
        assert re.fullmatch(r"(\$[0-9,]+\.[0-9]{2}){0,2}", product["pricing"])
        assert 3 <= len(product["small_description"]) <= 6
        assert all(isinstance(bullet, str) and bullet for bullet in product["small_description"])
        assert product["images"]
        assert product["query"] == product["query"].strip().lower()
        assert product["query"] in product["name"].lower(), "the title must name the kind: its noun"
        assert product["product_category"].count(" › ") >= 2
        assert 8 <= len(re.findall(r"[A-Za-z0-9]+", product["name"])) <= 16
        values = [v for values in _options(product).values() for v in values]
        assert len(set(values)) == len(values), "equal option values would be one button"


def test_prices_come_in_all_three_forms(catalogue: Catalogue) -> None:
    forms = Counter(p["pricing"].count("$") for p in catalogue.products)
    assert forms[1] > forms[2] > forms[0] > 30


def test_instruction_attributes_are_attributes_and_are_named_somewhere(
    catalogue: Catalogue, by_asin: dict[str, dict[str, Any]]
) -> None:
    in_title = asked = 0
    for asin, entry in catalogue.attributes.items():
        product = by_asin[asin]
        text = " | ".join([product["name"], *product["small_description"], product["full_description"]])
        assert 1 <= len(entry["instruction_attributes"]) <= 3
        assert set(entry["instruction_attributes"]) <= set(entry["attributes"])
        assert product["query"] in entry["instruction"].lower()
        for attribute in entry["instruction_attributes"]:
            assert attribute in entry["instruction"].lower()
            assert attribute in text.lower()
            in_title += attribute in product["name"].lower()
            asked += 1
    assert 0.70 <= in_title / asked <= 0.80


def test_human_instructions_weave_in_their_options(
    catalogue: Catalogue, by_asin: dict[str, dict[str, Any]]
) -> None:
    with_options = 0
    for asin, entries in catalogue.human.items():
        values = {v for values in _options(by_asin[asin]).values() for v in values}
        for entry in entries:
            assert entry["instruction_attributes"]
            assert set(entry["instruction_attributes"]) <= set(entry["attributes"])
            assert set(entry["attributes"]) == set(catalogue.attributes[asin]["attributes"])
            assert set(entry["instruction_options"]) <= values
            for said in (*entry["instruction_options"], *entry["instruction_attributes"]):
                assert said in entry["instruction"].lower()
            with_options += bool(entry["instruction_options"])
    assert with_options > 200


def _facts(product: dict[str, Any], attributes: list[str]) -> dict[str, frozenset[str]]:
    return {
        "attribute": frozenset(attributes),
        "option": frozenset(f"{name}: {v}" for name, values in _options(product).items() for v in values),
        "price": frozenset([product["pricing"]]),
    }


def test_siblings_differ_in_exactly_one_fact(
    catalogue: Catalogue, by_asin: dict[str, dict[str, Any]]
) -> None:
    for family in catalogue.families:
        assert 2 <= len(family.asins) <= 5
        for one, other in itertools.combinations(family.asins, 2):
            left = _facts(by_asin[one], catalogue.attributes[one]["attributes"])
            right = _facts(by_asin[other], catalogue.attributes[other]["attributes"])
            assert [name for name in left if left[name] != right[name]] == [family.difference]
            changed = left[family.difference] ^ right[family.difference]
            assert len(changed) == 2, "one value replaced by another"


def test_texts_of_siblings_differ_only_where_their_facts_do(
    catalogue: Catalogue, by_asin: dict[str, dict[str, Any]]
) -> None:
    for family in catalogue.families:
        texts: set[str] = set()
        for asin in family.asins:
            product = by_asin[asin]
            text = " | ".join([product["name"], *product["small_description"], product["full_description"]])
            text = re.sub(re.escape(KEYWORDS) + r"[^.|]*", "", text).lower().replace(". .", ".")
            others = [set(catalogue.attributes[a]["attributes"]) for a in family.asins if a != asin]
            for attribute in set(catalogue.attributes[asin]["attributes"]).difference(*others):
                text = text.replace(attribute, "#")
            texts.add(text.strip(" ."))
        assert len(texts) == 1


def test_vocabulary_is_closed(catalogue: Catalogue) -> None:
    def words(made: Catalogue) -> set[str]:
        text = [p["name"] + " " + p["full_description"] for p in made.products]
        text += [" ".join(p["small_description"]) for p in made.products]
        text += [" ".join(v) for p in made.products for v in _options(p).values()]
        text += [e["instruction"] + " " + " ".join(e["attributes"]) for e in made.attributes.values()]
        text += [e["instruction"] for entries in made.human.values() for e in entries]
        return set(re.findall(r"[a-z']+", " ".join(text).lower()))

    here = words(catalogue)
    assert 1300 <= len(here) <= 2200
    assert len(words(generate(seed=1, num_products=3000)) - here) < 40


def test_a_large_catalogue_keeps_its_variety() -> None:
    large = generate(seed=3, num_products=4000)
    assert len({e["instruction"] for e in large.attributes.values()}) > 3900
    assert len({p["name"] for p in large.products}) > 3000  # siblings by option or price share a title
    assert len({p["query"] for p in large.products}) > 100


def test_files_are_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    here = write_catalogue(tmp_path / "here")
    command = [sys.executable, "-m", "agentq_data.webshop.generator", "--out", str(tmp_path / "there")]
    paths = os.pathsep.join(str(_ROOT / part) for part in (".", "data"))
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": paths}
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    there = [Path(line) for line in printed.splitlines()]
    assert [p.name for p in there] == [here.products.name, here.attributes.name, here.human.name]
    for mine, theirs in zip((here.products, here.attributes, here.human), there, strict=True):
        assert mine.read_bytes() == theirs.read_bytes()


def test_bytes_of_the_default_catalogue_are_pinned(tmp_path: Path) -> None:
    files = write_catalogue(tmp_path)
    found = (_digest(files.products), _digest(files.attributes), _digest(files.human))
    assert CATALOGUE_VERSION == 1
    assert found == _DIGESTS, "the bytes changed: raise CATALOGUE_VERSION and pin the new ones"


def test_seeds_give_different_catalogues_and_files_hold_what_memory_holds(tmp_path: Path) -> None:
    files = write_catalogue(tmp_path, seed=5, num_products=40)
    made = generate(seed=5, num_products=40)
    assert json.loads(files.products.read_text("utf-8")) == made.products
    assert json.loads(files.attributes.read_text("utf-8")) == made.attributes
    assert json.loads(files.human.read_text("utf-8")) == made.human
    assert generate(seed=6, num_products=40).products != made.products
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        p.name for p in (files.products, files.attributes, files.human)
    ), "no temporary file is left"


@pytest.mark.parametrize("count", [1, 2, 7])
def test_small_catalogues_have_exactly_the_number_asked_for(count: int) -> None:
    assert len(generate(seed=2, num_products=count).products) == count


@pytest.mark.parametrize(
    ("seed", "count", "named"),
    [
        (0, 0, "num_products=0"),
        (0, -5, "num_products=-5"),
        (0, 10**7, "num_products=10000000"),
        (0, 2.5, "num_products=2.5"),
        (0, True, "num_products=True"),
        (-1, 10, "seed=-1"),
        ("x", 10, "seed='x'"),
    ],
)
def test_bad_arguments_are_named(seed: Any, count: Any, named: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=re.escape(named)):
        write_catalogue(tmp_path / "out", seed, count)
    assert not (tmp_path / "out").exists()


def test_a_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "taken"
    place.write_text("a file")
    with pytest.raises(DataError, match="taken"):
        write_catalogue(place, num_products=3)
    assert place.read_text() == "a file"


def test_a_failed_write_keeps_the_old_file_and_leaves_no_rest(tmp_path: Path) -> None:
    blocked = tmp_path / "items_shuffle.json"
    blocked.mkdir()  # renaming a file onto a directory fails
    with pytest.raises(DataError, match="cannot write"):
        write_catalogue(tmp_path, num_products=3)
    assert [p.name for p in tmp_path.iterdir()] == ["items_shuffle.json"]


def test_command_line_reports_a_bad_number(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "agentq_data.webshop.generator",
        "--out",
        str(tmp_path),
        "--products",
        "0",
    ]
    paths = os.pathsep.join(str(_ROOT / part) for part in (".", "data"))
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True)
    assert done.returncode == 2
    assert "num_products=0" in done.stderr
