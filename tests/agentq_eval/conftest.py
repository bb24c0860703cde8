"""A shop of four hand-made products, and a policy that proposes anything, sometimes nothing that parses."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from agentq.policies.scripted import ScriptedPolicy
from agentq.types import Messages
from agentq_envs.webshop import WebShopEnv

_COLOURS = ("navy", "red", "green")
_PRODUCTS = [
    {
        "asin": f"B00000000{i}",
        "name": f"{material} Mug",
        "full_description": f"A mug of {material.lower()}.",
        "small_description": [],
        "pricing": f"${8 + i}.50",
        "images": [],
        "product_category": "Home › Kitchen › Mugs",
        "customization_options": {"color": [{"value": colour} for colour in _COLOURS]},
        "category": "garden",
        "query": "mug",
    }
    for i, material in enumerate(("Clay", "Steel", "Glass", "Velvet"))
]
_ATTRIBUTES = {
    product["asin"]: {
        "attributes": ["lead free"],
        "instruction": f"Find me a {product['name']} that is lead free",
        "instruction_attributes": ["lead free"],
    }
    for product in _PRODUCTS
}


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Arguments of the environment for these products: 12 tasks, six steps."""
    folder = tmp_path_factory.mktemp("shop")
    for name, content in (("products", _PRODUCTS), ("attributes", _ATTRIBUTES)):
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return {
        "products": folder / "products.json",
        "attributes": folder / "attributes.json",
        "noun_tagger": "rules",
        "max_steps": 6,
    }


@pytest.fixture
def make_env(shop: dict[str, Any]) -> Callable[[], WebShopEnv]:
    return lambda: WebShopEnv(**shop)


def _reply(messages: Messages, admissible: Sequence[str] | None, rng: np.random.Generator) -> str:
    if rng.random() < 0.2:
        return "Thought: what now?"  # no action
    action = str(rng.choice(list(admissible or ["click[buy now]"])))
    return "search[lead free mug]" if action.startswith("search[") else f"Action: {action}"


@pytest.fixture
def policy() -> ScriptedPolicy:
    return ScriptedPolicy(_reply)


@pytest.fixture
def babbling() -> ScriptedPolicy:
    """Never an action."""
    return ScriptedPolicy(lambda messages, admissible, rng: f"Thought: {rng.integers(9)}")
