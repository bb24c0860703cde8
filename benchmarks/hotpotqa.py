"""HotPotQA environment: searches and steps a second, and the time to index pages.

The made world (or the pages of --dump) is indexed as it is and, for scale, repeated under new titles until there
are --pages of them. The reference for a missing page is the plain corpus, which compares every title: both give
the same titles, which is checked before they are timed.

    python benchmarks/hotpotqa.py [--dump PATH] [--pages 200000] [--json]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from agentq_data.hotpotqa.generator import write_world
from agentq_data.hotpotqa.pages import WikiPage, read_pages
from agentq_envs.hotpotqa.corpus import MemoryCorpus
from agentq_envs.hotpotqa.env import HotPotQAEnv
from agentq_envs.hotpotqa.index import SqliteCorpus, build_corpus
from agentq_eval.reports.figures import Figure, print_figures

_QUERIES = 300


def repeated(pages: Sequence[WikiPage], count: int) -> Iterator[WikiPage]:
    """``count`` pages: the given ones, then the same under numbered titles."""
    for i in range(count):
        page = pages[i % len(pages)]
        yield page if i < len(pages) else WikiPage(f"{page.title} {i // len(pages)}", page.text)


def seconds_each(call: Callable[[str], object], queries: Sequence[str]) -> float:
    """Mean time of a call."""
    began = time.perf_counter()
    for query in queries:
        call(query)
    return (time.perf_counter() - began) / len(queries)


def steps_per_second(episodes: int = 300) -> float:
    """Actions of expert episodes in the made world, prompts included."""
    env = HotPotQAEnv()
    plans: list[tuple[str, list[str]]] = []
    for task in env.tasks.ids[:episodes]:
        env.reset(options={"task": task})
        while not env.session.ended:
            env.step(env.expert_action())
        plans.append((task, list(env.actions)))
    began = time.perf_counter()
    for task, actions in plans:
        env.reset(options={"task": task})
        for action in actions:
            env.step(action)
    return sum(len(actions) for _, actions in plans) / (time.perf_counter() - began)


def measure(dump: Path | None, count: int) -> list[Figure]:
    """All figures."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        began = time.perf_counter()
        made, _ = write_world(place / "world")
        made_seconds = time.perf_counter() - began
        pages = list(read_pages(dump or made))
        began = time.perf_counter()
        small = build_corpus(pages, place / "small.sqlite")
        small_seconds = time.perf_counter() - began
        began = time.perf_counter()
        large = build_corpus(repeated(pages, count), place / "large.sqlite")
        large_seconds = time.perf_counter() - began
        size = (place / "large.sqlite").stat().st_size
        plain = MemoryCorpus(repeated(pages, count))
        titles = [page.title for page in pages[:: max(1, len(pages) // _QUERIES)]]
        missing = [f"{title} of the old town" for title in titles[:50]]
        different = [query for query in missing if large.similar(query) != plain.similar(query)]
        if different:
            raise SystemExit(f"the two corpora disagree on {different[:3]}")
        slow, fast = seconds_each(plain.similar, missing), seconds_each(large.similar, missing)
        hits = seconds_each(SqliteCorpus(place / "large.sqlite").page, titles)
        few = seconds_each(small.similar, missing)
    some, many = f"{len(pages):,} pages", f"{count:,} pages"
    return [
        Figure(
            "hotpotqa_steps_per_second", steps_per_second(), None, "higher", "made world, expert episodes"
        ),
        Figure("hotpotqa_found_searches_per_second", 1 / hits, None, "higher", f"{many}, each page new"),
        Figure("hotpotqa_missing_searches_per_second", 1 / fast, None, "higher", many),
        Figure("hotpotqa_missing_small_per_second", 1 / few, None, "higher", some),
        Figure("hotpotqa_index_speedup_over_plain", slow / fast, 5.0, "higher", f"missing page, {many}"),
        Figure(
            "hotpotqa_made_world_seconds", made_seconds, None, "lower", "pages and questions, without index"
        ),
        Figure("hotpotqa_small_build_seconds", small_seconds, None, "lower", some),
        Figure("hotpotqa_large_build_seconds", large_seconds, None, "lower", many),
        Figure("hotpotqa_pages_indexed_per_second", count / large_seconds, None, "higher", many),
        Figure("hotpotqa_corpus_mb", size / 1e6, None, "lower", many),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Speed of the HotPotQA environment.")
    parser.add_argument("--dump", type=Path, help="pages in a documented format instead of the made world")
    parser.add_argument(
        "--pages", type=int, default=200_000, help="size of the large corpus, reached by repetition"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    options = parser.parse_args()
    print_figures(measure(options.dump, options.pages), options.json)


if __name__ == "__main__":
    main()
