from __future__ import annotations

import gzip
import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from agentq.errors import DataError
from agentq_data.webshop.reader import read_attributes, read_human_instructions, read_products


def product(asin: str, **fields: Any) -> dict[str, Any]:
    return {
        "asin": asin,
        "name": "Mug",
        "full_description": "",
        "small_description": [],
        "customization_options": "",
        "category": "garden",
        "query": "mugs",
        "product_category": "Home › Kitchen",
        **fields,
    }


PRODUCTS = [product("B1", name="Mug “é” 🫖"), product("B2"), product("B3")]
LIST = json.dumps(PRODUCTS, ensure_ascii=False)
LINES = "\n".join(json.dumps(p) for p in PRODUCTS) + "\n\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.json", LIST),
        ("p.json.gz", LIST),
        ("p.jsonl", LINES),
        ("p.jsonl.gz", LINES),
        ("p.json", f" \n{json.dumps(PRODUCTS, indent=2)} \n"),
    ],
)
def test_every_format_gives_the_same_products(tmp_path: Path, name: str, text: str) -> None:
    data = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    assert list(read_products(tmp_path / name)) == PRODUCTS


def test_products_longer_than_a_block_are_read_whole(tmp_path: Path) -> None:
    long = [
        product("B1", full_description="x" * 2_500_000),
        product("B2"),
        product("B3", name="y" * 1_100_000),
    ]
    (tmp_path / "p.json").write_text(json.dumps(long))
    assert list(read_products(tmp_path / "p.json")) == long


def test_an_empty_list_has_no_products(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text("[ ]\n")
    assert list(read_products(tmp_path / "p.json")) == []


def test_lines_are_read_one_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(LINES + "{broken")
    assert [p["asin"] for p in islice(read_products(tmp_path / "p.jsonl"), 3)] == ["B1", "B2", "B3"]


@pytest.mark.parametrize("name", ["p.json", "p.jsonl"])
def test_a_missing_field_is_named_with_asin_and_position(tmp_path: Path, name: str) -> None:
    broken = product("B2")
    del broken["category"]
    content = [product("B1"), broken]
    text = json.dumps(content) if name == "p.json" else "\n".join(map(json.dumps, content))
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=r"product 1 \(asin 'B2'\) lacks the field 'category'"):
        list(read_products(tmp_path / name))


def test_broken_json_is_reported_with_its_position(tmp_path: Path) -> None:
    text = LIST[: LIST.rindex('"B3"')]
    (tmp_path / "p.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=rf"broken JSON at character {len(text)} \(product 2\)"):
        list(read_products(tmp_path / "p.json"))


def test_a_broken_line_is_reported_with_its_number(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(LINES.rstrip() + "\n{broken")
    with pytest.raises(DataError, match="line 4"):
        list(read_products(tmp_path / "p.jsonl"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ('{"asin": 1}', "expected a JSON list"),
        (json.dumps([1]), "product 0 is a int"),
        (json.dumps([product("B1", name=None)]), "has None as 'name'"),
        (LIST + "x", "extra data"),
        (LIST.replace("}, {", "} {", 1), "expected ',' or ']'"),
        (LIST[:-1], "after product 2"),
    ],
)
def test_other_broken_product_files(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        list(read_products(tmp_path / "p.json"))


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        list(read_products(tmp_path / "absent.json"))


def test_a_cut_gzip_file_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "p.json.gz").write_bytes(gzip.compress(LIST.encode())[:-12])
    with pytest.raises(DataError, match=r"broken gzip|broken JSON"):
        list(read_products(tmp_path / "p.json.gz"))


def test_text_that_is_not_utf8_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_bytes(b'[{"asin": "\xff"}]')
    with pytest.raises(DataError, match="UTF-8"):
        list(read_products(tmp_path / "p.json"))


def test_attribute_and_human_files_are_objects(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"B1": {"attributes": ["x"]}}')
    (tmp_path / "h.json").write_text("[]")
    assert read_attributes(tmp_path / "a.json") == {"B1": {"attributes": ["x"]}}
    with pytest.raises(DataError, match="holds a list, expected an object"):
        read_human_instructions(tmp_path / "h.json")
    (tmp_path / "a.json").write_text('{"B1": ')
    with pytest.raises(DataError, match="broken JSON at character 7"):
        read_attributes(tmp_path / "a.json")
