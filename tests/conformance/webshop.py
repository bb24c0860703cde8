"""Vectors of the WebShop reference: loader, goals, actions, search, pages and reward.

Made by running princeton-nlp/WebShop (commit 64fa2a5); the folder's README gives tolerances and the stub
that replaces the noun tagger.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from agentq.errors import DataError
from agentq_envs.webshop.actions import parse_action
from agentq_envs.webshop.catalogue import Catalogue, Product, build_catalogue, load_catalogue, parse_options
from agentq_envs.webshop.classic import ClassicTextEnv
from agentq_envs.webshop.colors import normalize_color
from agentq_envs.webshop.goals import Goal, canonical_json, weighted_index
from agentq_envs.webshop.loading import build_index
from agentq_envs.webshop.matching import token_set_ratio
from agentq_envs.webshop.nouns import StopWordTagger
from agentq_envs.webshop.reward import compare_types, purchase_reward, type_reward
from agentq_envs.webshop.search.analyzer import analyze
from agentq_envs.webshop.search.index import document_text
from agentq_envs.webshop.server import GoalSettings, WebShopServer
from agentq_envs.webshop.session import Session
from tests.conformance.runner import Check, compare, each_row

_EDGE_SEED = 7  # Python random seed before each edge case of the loader


@lru_cache(maxsize=4)
def _catalogue(data: Path, human: bool) -> Catalogue:
    folder = data / "webshop"
    return load_catalogue(
        folder / "items_shuffle_1000.json.gz",
        folder / "items_ins_v2_1000.json",
        folder / "items_human_ins.json",
        human_goals=human,
    )


@lru_cache(maxsize=2)
def _index(data: Path) -> Any:
    return build_index(_catalogue(data, False))


@lru_cache(maxsize=8)
def _server(data: Path, seed: int, human: bool, show_attrs: bool, num_products: int | None) -> WebShopServer:
    catalogue = _catalogue(data, human)
    index = _index(data)
    if num_products is not None and num_products < len(catalogue):
        catalogue = replace(catalogue, products=catalogue.products[:num_products])
        index = build_index(catalogue)
    return WebShopServer(
        catalogue,
        index,
        GoalSettings(human=human),
        show_attrs=show_attrs,
        tagger=StopWordTagger(),
        rng=random.Random(seed),
    )


def _parse_action(row: Any, data: Path) -> list[str]:
    action = parse_action(row["action"])
    return compare([action.name, action.argument], [row["name"], row["arg"]])


def _normalize_color(row: Any, data: Path) -> list[str]:
    return compare(normalize_color(row["input"]), row["output"])


def _token_set_ratio(row: Any, data: Path) -> list[str]:
    return compare(token_set_ratio(row["a"], row["b"]), row["score"], absolute=0.0)


def _random_idx(row: Any, data: Path) -> list[str]:
    rng = random.Random(row["seed"])
    return compare([weighted_index(row["cum_weights"], rng) for _ in row["indices"]], row["indices"])


def _load_products_real(row: Any, data: Path) -> list[str]:
    product = _catalogue(data, False).by_asin[row["asin"]]
    got = {**_derived(product, human=False), "asin": product.asin, "n_bullets": len(product.bullets)}
    return compare({key: got[key] for key in row}, row, absolute=0.0)


def _load_products_edge(row: Any, data: Path) -> list[str]:
    # The human file of these cases is not part of the row; the loader hands its records through unchanged.
    human = {p["asin"]: p["instructions"] for p in row["products_out"] or () if "instructions" in p}
    try:
        catalogue = build_catalogue(
            row["products_in"], row["attributes_in"], human, human_goals=row["human_goals"]
        )
    except DataError as error:
        return [] if row["error"] else [f"raised {error}"]
    if row["error"]:
        return [f"loaded, the reference raises {row['error']}"]
    raw = {product["asin"]: product for product in reversed(row["products_in"])}  # the first one wins
    priced = catalogue.priced(random.Random(_EDGE_SEED))
    got = [
        {
            **raw[p.asin],
            **_derived(p, human=row["human_goals"]),
            "Description": p.description or raw[p.asin]["full_description"],  # None is kept as ""
            "option_to_image": parse_options(raw[p.asin]["customization_options"]).images,
        }
        for p in priced.products
    ]
    prices = {product.asin: product.price for product in priced.products}
    return [
        *compare(got, row["products_out"]),
        *compare(prices, row["product_prices"]),
        *compare(priced.attribute_to_asins(), row["attribute_to_asins"]),
    ]


def _derived(product: Product, *, human: bool) -> dict[str, Any]:
    """What the loader of the reference adds to a raw product."""
    fields: dict[str, Any] = {
        "query": product.query,
        "pricing": list(product.pricing),
        "Price": product.price_tag,
        "Title": product.title,
        "Description": product.description,
        "Reviews": [],
        "Rating": "N.A.",
        "BulletPoints": list(product.bullets),
        "options": product.options,
        "Attributes": list(product.attributes),
        "MainImage": product.main_image,
    }
    if human:
        if product.human_instructions is not None:
            fields["instructions"] = list(product.human_instructions)
    else:
        attributes = product.instruction_attributes
        fields["instruction_text"] = product.instruction
        fields["instruction_attributes"] = None if attributes is None else list(attributes)
    return fields


def _goals(row: Any, data: Path) -> list[str]:
    server = _server(data, row["seed_before_server"], row["human_goals"], False, None)
    records = [goal.to_json() for goal in server.goals]
    lines = "\n".join(map(canonical_json, records))
    got = {
        **row,
        "n_goals": len(records),
        "sha256_of_canonical_goal_lines": hashlib.sha256(lines.encode()).hexdigest(),
        "sum_price_upper": sum(record["price_upper"] for record in records),
        "goals": [{"index": goal["index"], **records[goal["index"]]} for goal in row["goals"]],
        "random_prices": {asin: server.products[asin].price for asin in row["random_prices"]},
    }
    return compare(got, row, absolute=1e-12)


def _goals_limit_filter(row: Any, data: Path) -> list[str]:
    human = row["human_goals"]
    server = WebShopServer(
        _catalogue(data, human),
        _index(data),
        GoalSettings(human=human, limit=row.get("limit_goals", -1)),
        goal_filter=_goal_filter(row.get("filter")),
        rng=random.Random(row["seed_before_server"]),
    )
    return compare([goal.to_json() for goal in server.goals], row["goals"], absolute=1e-12)


def _goal_filter(text: str | None) -> Callable[[int, Goal], bool] | None:
    """The filter of a row, written as ``index % M == R``."""
    if text is None:
        return None
    name, percent, modulus, equals, rest = text.split()
    if (name, percent, equals) != ("index", "%", "=="):
        raise ValueError(f"unknown goal filter {text!r}")
    return lambda index, goal: index % int(modulus) == int(rest)


def _type_reward(row: Any, data: Path) -> list[str]:
    bought, wanted = row["purchased"], row["goal"]
    got = compare_types(
        (bought["query"], bought["product_category"], bought["nouns"]),
        (wanted["query"], wanted["product_category"], wanted["nouns"]),
    )
    parts = ("r_type", "query_match", "category_match", "title_score")
    return compare(
        {part: getattr(got, part) for part in parts}, {part: row[part] for part in parts}, absolute=1e-12
    )


def _reward(row: Any, data: Path) -> list[str]:
    product = _catalogue(data, False).by_asin[row["asin"]]
    goal = Goal.from_json(row["goal"])
    tagger = StopWordTagger()
    kind = type_reward(product, goal, row["stub_nouns_purchased"], row["stub_nouns_goal"])
    got = purchase_reward(product, goal, row["options"].values(), row["price"], kind, tagger=tagger.name)
    return [
        *compare(got.total, row["reward"]),
        *compare(got.verbose_info(), row["info"]),
        *compare(got.attribute_matches, row["num_attr_matches"]),
        *compare(got.option_matches, row["num_option_matches"]),
        *compare(tagger.nouns(product.title), row["stub_nouns_purchased"]),
        *compare(tagger.nouns(goal.name), row["stub_nouns_goal"]),
    ]


def _bm25(row: Any, data: Path) -> list[str]:
    index = _index(data)
    got = [[index.asin(position), score] for position, score in index.search_scored(row["query"])]
    return compare(got, row["hits"], absolute=1e-4)


def _analyzer(row: Any, data: Path) -> list[str]:
    if row["kind"] == "index_totals":
        index = _index(data)
        return compare([len(index), index.total_tokens], [row["n_docs"], row["total_tokens"]], absolute=0.0)
    if row["kind"] == "document":
        p = _catalogue(data, False).by_asin[row["asin"]]
        return compare(analyze(document_text(p.title, p.description, p.bullets, p.options)), row["tokens"])
    return compare(analyze(row["text"]), row["tokens"])


def _episode(row: Any, data: Path) -> list[str]:
    made = row["server"]
    server = _server(
        data, made["seed_before_server"], made["human_goals"], made["show_attrs"], made["num_products"]
    )
    env = ClassicTextEnv(
        server,
        row["observation_mode"],
        session=row["goal_index"],
        session_prefix=row["session_prefix"],
        num_prev_obs=row["num_prev_obs"],
        num_prev_actions=row["num_prev_actions"],
    )
    differences = compare(server.goal(env.current).to_json(), row["goal"], path="goal")
    differences += compare(env.instruction_text, row["instruction_text"], path="instruction_text")
    for i, step in enumerate(row["steps"]):
        reward, done = None, False
        if step["action"] is None:
            state, _ = env.reset(row["goal_index"])
        else:
            state, reward, done, _ = env.step(step["action"])
        got = {
            "action": step["action"],
            "observation": state,
            "reward": reward,
            "done": done,
            "available_actions": env.get_available_actions(),
            "url": env.current.url,
        }
        differences += compare(got, step, path=f"step {i}")
    return differences + compare(
        _session_record(env.current, row["final_session"]), row["final_session"], path="session"
    )


def _session_record(session: Session, wanted: Any) -> dict[str, Any]:
    record: dict[str, Any] = {
        "asin": session.asin,
        "options": session.options,
        "keywords": None if session.keywords is None else list(session.keywords),
        "page": session.page_number,
        "actions": session.counts,
        "done": session.done,
    }
    if session.reward is not None:
        record["verbose_info"] = session.reward.verbose_info()
    elif "verbose_info" in wanted:
        record["verbose_info"] = None
    return record


CHECKS: dict[str, Check] = {
    "parse_action": each_row(_parse_action),
    "normalize_color": each_row(_normalize_color),
    "token_set_ratio": each_row(_token_set_ratio),
    "random_idx": each_row(_random_idx),
    "load_products_real": each_row(_load_products_real),
    "load_products_edge": each_row(_load_products_edge),
    "goals": each_row(_goals),
    "goals_limit_filter": each_row(_goals_limit_filter),
    "type_reward_given_nouns": each_row(_type_reward),
    "reward": each_row(_reward),
    "bm25": each_row(_bm25),
    "analyzer": each_row(_analyzer),
    "episodes": each_row(_episode),
}
