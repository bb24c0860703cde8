from __future__ import annotations

import math
import random
from typing import Any

import pytest

from agentq.errors import DataError
from agentq_envs.webshop.catalogue import build_catalogue, parse_options, parse_price


def raw(asin: str = "B000000001", **fields: Any) -> dict[str, Any]:
    return {
        "asin": asin,
        "name": "Mug",
        "full_description": "text",
        "small_description": ["a"],
        "customization_options": "",
        "category": "garden",
        "query": " Mugs",
        "product_category": "Home",
        "pricing": "$5.00",
        **fields,
    }


@pytest.mark.parametrize(
    ("text", "pricing", "tag"),
    [
        ("", (100.0,), "$100.0"),
        (None, (100.0,), "$100.0"),
        ("$5.00", (5.0,), "$5.0"),
        ("from $1,234.50", (1234.5,), "$1234.5"),
        ("$44.99$33.98$1.00", (44.99, 33.98), "$44.99 to $33.98"),
    ],
)
def test_prices(text: str | None, pricing: tuple[float, ...], tag: str) -> None:
    parsed = parse_price(text)
    assert (parsed.pricing, parsed.tag) == (pricing, tag)


def test_options_are_lowered_and_later_names_replace_earlier_ones() -> None:
    parsed = parse_options(
        {
            "Color": [{"value": " Red/Blue "}, {"value": "red | blue"}],
            "Skipped": None,
            "COLOR": [{"value": "c//d", "image": "i"}],
        }
    )
    assert parsed.values == {"color": ["c |  | d"]}
    assert parsed.images == {"red | blue": None, "c |  | d": "i"}


def test_invalid_and_repeated_asins_are_skipped_and_counted() -> None:
    products = [raw("nan"), raw("B0000000001"), raw(name="first"), raw(name="second"), raw("B2")]
    catalogue = build_catalogue(products, {"B000000001": {}, "B2": {"attributes": []}})
    assert [p.title for p in catalogue.products] == ["first", "Mug"]
    assert (catalogue.duplicates, catalogue.invalid_asins) == (1, 2)
    assert [p.attributes for p in catalogue.products] == [("DUMMY_ATTR",), ()]


def test_strict_loading_refuses_repeated_asins() -> None:
    with pytest.raises(DataError, match="'B000000001' occurs twice"):
        build_catalogue([raw(), raw()], {"B000000001": {}}, strict=True)


def test_num_products_cuts_before_anything_is_skipped() -> None:
    catalogue = build_catalogue([raw("nan"), raw("B1"), raw("B2")], {"B1": {}, "B2": {}}, num_products=2)
    assert list(catalogue.by_asin) == ["B1"]


def test_bullets_that_are_no_list_become_one() -> None:
    products = [raw("B1", small_description=None), raw("B2", small_description=[])]
    catalogue = build_catalogue(products, {"B1": {}, "B2": {}})
    assert [p.bullets for p in catalogue.products] == [(None,), ()]


def test_only_price_ranges_are_sampled() -> None:
    products = [raw("B1"), raw("B2", pricing="$5$9"), raw("B3", pricing="$9$5")]
    catalogue = build_catalogue(products, {"B1": {}, "B2": {}, "B3": {}})
    assert math.isnan(catalogue.by_asin["B2"].price)
    priced = catalogue.priced(random.Random(7))
    rng = random.Random(7)
    assert [p.price for p in priced.products] == [5.0, rng.uniform(5, 9), rng.uniform(9, 5)]
    assert priced.content_hash == catalogue.content_hash


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pricing": "five"}, "has the price 'five'"),
        ({"pricing": "$$"}, r"has the price '\$\$'"),
        ({"customization_options": {"Size": [{}]}}, "malformed 'customization_options'"),
        ({"customization_options": ["x"]}, "malformed 'customization_options'"),
    ],
)
def test_unreadable_values_name_the_product(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        build_catalogue([raw(**fields)], {"B000000001": {}})
    assert "product 0 (asin 'B000000001')" in str(error.value)


def test_synthetic_goals_need_every_asin_in_the_attribute_file() -> None:
    with pytest.raises(DataError, match="does not occur in the attribute file"):
        build_catalogue([raw()], {})
    assert len(build_catalogue([raw()], {}, human_goals=True)) == 1


def test_the_content_hash_follows_the_content() -> None:
    one = build_catalogue([raw()], {"B000000001": {}})
    other = build_catalogue([raw()], {"B000000001": {"attributes": ["x"]}})
    assert one.content_hash != other.content_hash
