"""Product search at scale: streamed build, index size, and milliseconds a query on a memory-mapped index.

The catalogue (the official file given with --data, or one that AgentQ generates) is repeated under new ASINs
until it has --products entries. Result caching is off. Queries are those of the reference vectors when
--data has them, else product titles cut to 60 characters, one in ten.

    python benchmarks/webshop_search.py [--data DIR] [--products 100000] [--json]
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentq_envs.webshop.search.index import SearchIndex, document_text
from agentq_eval.reports.figures import Figure, print_figures

# Measured once on a 2-core machine shared with other jobs, 1,000 products: the official engine's warm search
# call, and a plain Python BM25 that builds its index in memory.
OFFICIAL = "20 ms a warm search of the official engine, 1,000 products"
PLAIN = "4.5 s of a plain BM25 in Python, 1,000 products"


def catalogue(data: Path | None) -> list[dict[str, Any]]:
    """Products in the official file format."""
    if data is not None:
        return json.loads(gzip.decompress((data / "webshop" / "items_shuffle_1000.json.gz").read_bytes()))
    from agentq_data.webshop.generator import generate

    return generate(seed=0).products


def index_text(product: dict[str, Any]) -> str:
    """Index text of a product of the official file."""
    options = {
        name.lower(): [entry["value"].strip().replace("/", " | ").lower() for entry in entries]
        for name, entries in (product.get("customization_options") or {}).items()
        if entries is not None
    }
    bullets = product["small_description"]
    bullets = bullets if isinstance(bullets, list) else [bullets]
    return document_text(product["name"], product["full_description"], bullets, options)


def queries(data: Path | None, products: list[dict[str, Any]]) -> list[str]:
    """Search texts of realistic length."""
    if data is not None:
        lines = gzip.decompress((data / "webshop" / "vectors" / "bm25.jsonl.gz").read_bytes()).splitlines()
        return [json.loads(line)["query"] for line in lines]
    return [product["name"][:60].lower() for product in products[::10]]


def repeated(texts: list[str], products: int) -> Iterator[tuple[str, str]]:
    """The texts over and over, each under an ASIN of its own."""
    for number in range(products):
        yield f"Z{number:09d}", texts[number % len(texts)]


def query_milliseconds(index: SearchIndex, searches: list[str]) -> list[float]:
    """Milliseconds of each search, in order."""
    index.search(searches[0])  # warm: the first search maps the files
    elapsed: list[float] = []
    for search in searches:
        started = time.perf_counter()
        index.search(search)
        elapsed.append(1000 * (time.perf_counter() - started))
    return elapsed


def measure(data: Path | None, products: int) -> list[Figure]:
    """All figures; takes about 20 seconds at 100,000 products."""
    items = catalogue(data)
    texts = [index_text(item) for item in items]
    searches = queries(data, items)

    started = time.perf_counter()
    small = SearchIndex.build(repeated(texts, len(texts)), cache_size=0)
    small_seconds = time.perf_counter() - started
    small_ms = query_milliseconds(small, searches)
    cached = SearchIndex.build(repeated(texts, len(texts)))
    query_milliseconds(cached, searches)
    cached_ms = query_milliseconds(cached, searches)

    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "index"
        started = time.perf_counter()
        SearchIndex.build(repeated(texts, products), directory)
        build_seconds = time.perf_counter() - started
        peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        size = sum(path.stat().st_size for path in directory.iterdir())
        started = time.perf_counter()
        index = SearchIndex.open(directory, cache_size=0)
        open_seconds = time.perf_counter() - started
        large_ms = query_milliseconds(index, searches)
    few, many = f"{len(texts):,} products", f"{products:,} products"
    return [
        Figure("search_memory_index_seconds", small_seconds, 0.8, "lower", f"{few}; {PLAIN}"),
        Figure("search_small_median_ms", statistics.median(small_ms), 2.0, "lower", f"{few}; {OFFICIAL}"),
        Figure("search_repeated_ms", statistics.median(cached_ms), 0.3, "lower", f"{few}; {OFFICIAL}"),
        Figure("search_large_median_ms", statistics.median(large_ms), 10.0, "lower", f"{many}; {OFFICIAL}"),
        Figure("search_large_slowest_ms", max(large_ms), None, "lower", many),
        Figure("search_streamed_build_seconds", build_seconds, None, "lower", many),
        Figure("search_peak_resident_after_build_mib", peak_mib, None, "lower", many),
        Figure("search_index_mb", size / 1e6, None, "lower", many),
        Figure("search_open_and_verify_seconds", open_seconds, None, "lower", many),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Speed of the product search.")
    parser.add_argument("--data", type=Path, help="folder that holds webshop/items_shuffle_1000.json.gz")
    parser.add_argument("--products", type=int, default=100_000, help="catalogue size, reached by repetition")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    options = parser.parse_args()
    print_figures(measure(options.data, options.products), options.json)


if __name__ == "__main__":
    main()
