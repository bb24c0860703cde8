"""A shop of fourteen hand-made products."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentq_envs.webshop.loading import ShopFiles, shared_server
from agentq_envs.webshop.server import GoalSettings, WebShopServer


def product(asin: str, name: str, **fields: Any) -> dict[str, Any]:
    """A raw product with harmless values for everything that is not given."""
    return {
        "asin": asin,
        "name": name,
        "full_description": f"Description of the {name.lower()}.",
        "small_description": [f"first point about {name.lower()}", "second point"],
        "pricing": "$12.50",
        "images": ["https://example.com/1.jpg"],
        "product_category": "Home › Kitchen › Mugs",
        "customization_options": "",
        "category": "garden",
        "query": "Coffee Mugs ",
        **fields,
    }


def choices(*values: str) -> list[dict[str, str]]:
    """The values of one option in the official format."""
    return [{"value": value} for value in values]


MUG = product(
    "B000000001",
    "Blue Ceramic Mug",
    customization_options={"Color": choices("Navy Blue", "Red/White"), "Size": choices("12 oz", "16 oz")},
    pricing="$5.00$9.99",
)
#: Option values that collide with buttons, with each other, or cannot be clicked.
TRICKY = product(
    "B000000002",
    "Strange Teapot",
    customization_options={
        "Kind": choices("Buy Now", "attributes", "search", "a[b]", "two\nlines", ""),
        "First": choices("same"),
        "Second": choices("same", "Café"),
    },
    small_description=["", "only point"],
)
PRODUCTS = [MUG, TRICKY, *(product(f"B0000000{i:02}", f"Plain Mug Number {i}") for i in range(3, 15))]
ATTRIBUTES: dict[str, dict[str, Any]] = {p["asin"]: {"attributes": ["dishwasher safe"]} for p in PRODUCTS} | {
    "B000000001": {
        "attributes": ["dishwasher safe", "lead free"],
        "instruction": "Find me a mug that is lead free",
        "instruction_attributes": ["lead free"],
    },
    "B000000003": {
        "attributes": ["stackable"],
        "instruction": "Find me a stackable mug",
        "instruction_attributes": ["stackable", "dishwasher safe"],
    },
}
HUMAN = {
    "B000000001": [
        {
            "asin": "B000000001",
            "instruction": "i want a navy mug.",
            "instruction_attributes": ["lead free"],
            "instruction_options": ["navy blue"],
        },
        {
            "asin": "B000000001",
            "instruction": "no goal",
            "instruction_attributes": [],
            "instruction_options": [],
        },
    ]
}


@pytest.fixture(scope="session")
def shop_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    for name, content in (("products", PRODUCTS), ("attributes", ATTRIBUTES), ("human", HUMAN)):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def files(shop_folder: Path) -> ShopFiles:
    return ShopFiles(
        shop_folder / "products.json", shop_folder / "attributes.json", shop_folder / "human.json"
    )


@pytest.fixture(scope="session")
def server(files: ShopFiles) -> WebShopServer:
    return shared_server(files, GoalSettings(), noun_tagger="rules")


@pytest.fixture(scope="session")
def options(files: ShopFiles) -> dict[str, Any]:
    """Arguments of the environment for these files."""
    return {
        "products": files.products,
        "attributes": files.attributes,
        "human": files.human,
        "noun_tagger": "rules",
    }


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Generated catalogues go to a folder of this test run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTQ_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
