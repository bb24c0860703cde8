"""WebShop speed in one process: steps, resets, server start, and the memory of a further environment.

The harness has the shape of the reference measurement: a repetition is a block of resets by goal index, then
scripted episodes (search, item, features, back, description, back, option, buy); figures are medians over the
repetitions. Every episode has another goal and another query, so searches and purchases are not cached.

    python benchmarks/webshop.py [--products FILE --attributes FILE] [--observation-mode text] [--json]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium

import agentq_envs  # noqa: F401 - registers the environment
from agentq_envs.webshop.env import WebShopEnv
from agentq_envs.webshop.loading import forget_servers
from agentq_eval.reports.figures import Figure, print_figures

# Measured once on a 2-core machine shared with other jobs; its better (lighter load) figures.
OFFICIAL = "{} of the official text environment with real pyserini search, 1,000 products, same harness"
RESETS = 2_000  # of a repetition; the reference harness, 100 times slower, had 200
EPISODES = 50  # of a repetition, 8 steps each


@dataclass(frozen=True)
class Repetition:
    """Speeds of one repetition, and microseconds of each of the eight scripted steps."""

    resets_per_second: float
    steps_per_second: float
    step_microseconds: tuple[float, ...]


def script(env: Any) -> Iterator[str]:
    """The eight actions of an episode; each is chosen when the page before it is known."""
    shop = env.unwrapped
    server, goal = shop.server, shop.goal
    yield f"search[{goal.query} {' '.join(goal.attributes)} {' '.join(map(str, goal.option_items()))}]"
    yield f"click[{server.results(shop.session)[0].lower()}]"
    yield from ("click[features]", "click[< prev]", "click[description]", "click[< prev]")
    options = list(server.item_page(shop.session.asin).option_of)
    yield f"click[{options[-1] if options else 'features'}]"
    yield "click[buy now]"


def repetition(env: Any, first_goal: int) -> Repetition:
    """One block of resets, then episodes on goals that no other repetition uses."""
    goals = len(env.unwrapped.server.goals)
    started = time.perf_counter()
    for i in range(RESETS):
        env.reset(seed=i, options={"goal_index": i % goals})
    resets = RESETS / (time.perf_counter() - started)
    seconds = [0.0] * 8
    for episode in range(EPISODES):
        env.reset(seed=episode, options={"goal_index": (first_goal + 17 * episode) % goals})
        for place, action in enumerate(script(env)):
            started = time.perf_counter()
            env.step(action)
            seconds[place] += time.perf_counter() - started
    steps = 8 * EPISODES / sum(seconds)
    return Repetition(resets, steps, tuple(1e6 * s / EPISODES for s in seconds))


def speeds(env: Any, repetitions: int, first_goal: int) -> Repetition:
    """Medians over repetitions, after one that warms Python up."""
    runs = [repetition(env, first_goal + 1000 * i) for i in range(repetitions + 1)][1:]
    return Repetition(
        statistics.median(run.resets_per_second for run in runs),
        statistics.median(run.steps_per_second for run in runs),
        tuple(
            statistics.median(place) for place in zip(*(run.step_microseconds for run in runs), strict=True)
        ),
    )


def start_seconds(options: dict[str, Any], repetitions: int) -> float:
    """Seconds to load the files, make the goals and build the index; imports excluded."""
    measured: list[float] = []
    for _ in range(repetitions):
        forget_servers()
        started = time.perf_counter()
        WebShopEnv(**options).server.task_id(0)
        measured.append(time.perf_counter() - started)
    return statistics.median(measured)


def further_environment_kilobytes(options: dict[str, Any]) -> float:
    """Memory that one more environment on the same catalogue takes, after an episode in it."""
    count = 20
    kept: list[Any] = [WebShopEnv(**options)]
    repetition(kept[0], 0)  # fills the caches that all share
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(count):
        kept.append(gymnasium.make("agentq/WebShop-v0", **options))
        kept[-1].reset(seed=0, options={"goal_index": 0})
        kept[-1].step("search[red shoes]")
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return used / count / 1000


def import_seconds() -> float:
    """Seconds to import the environment in a fresh interpreter."""
    modules = "agentq_envs.webshop.env, agentq_envs.webshop.search.index"
    code = f"import time; t = time.perf_counter(); import {modules}; print(time.perf_counter() - t)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(run.stdout)


def measure(options: dict[str, Any], repetitions: int) -> list[Figure]:
    """All figures."""
    start = start_seconds(options, 3)
    bare = speeds(WebShopEnv(**options), repetitions, 0)
    made = speeds(gymnasium.make("agentq/WebShop-v0", **options), repetitions, 500)
    names = ("search", "open_item", "features", "back", "description", "back_again", "option", "buy")
    steps, resets = OFFICIAL.format("26.9"), OFFICIAL.format("118")
    further = further_environment_kilobytes(options)
    return [
        Figure("env_steps_per_second", made.steps_per_second, 3_000, "higher", steps),
        Figure("resets_per_second", made.resets_per_second, 20_000, "higher", resets),
        Figure("bare_env_steps_per_second", bare.steps_per_second, 3_000, "higher", steps),
        Figure("bare_resets_per_second", bare.resets_per_second, 20_000, "higher", resets),
        Figure("server_start_seconds", start, 1.5, "lower", OFFICIAL.format("0.6")),
        Figure("import_seconds", import_seconds(), None, "lower", OFFICIAL.format("3.6")),
        Figure(
            "further_environment_kilobytes", further, 200, "lower", "an environment on the same catalogue"
        ),
        *(
            Figure(f"{name}_microseconds", value, None, "lower", "for information")
            for name, value in zip(names, made.step_microseconds, strict=True)
        ),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--products", help="official product file (default: the generated catalogue)")
    parser.add_argument("--attributes", help="official attribute file")
    parser.add_argument("--observation-mode", default="text", choices=("text", "text_rich", "url"))
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    arguments = parser.parse_args()
    options = {
        "products": arguments.products,
        "attributes": arguments.attributes,
        "observation_mode": arguments.observation_mode,
        "noun_tagger": "rules",
    }
    print_figures(measure(options, arguments.repetitions), arguments.json)


if __name__ == "__main__":
    main()
