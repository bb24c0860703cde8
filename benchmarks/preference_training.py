"""Step-level DPO with pairs of one length in a batch, against pairs in random order.

    python benchmarks/preference_training.py [--json] [--environment webshop] [--pairs 256] [--repetitions 3]

Pairs come from replayed sessions on training tasks: of two tried actions of a state, the one of larger value is
preferred. Both orders train a fresh adapter for one epoch through trl, reference log-probabilities included, one
after the other in this process; wall and process CPU time, medians over the repetitions.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import datasets

from agentq.backbones import BackboneConfig, LoraSettings
from agentq.training.preference import PreferenceTraining, fit_preference
from agentq_envs.benchmark import load_benchmark
from agentq_envs.demonstrations import DemonstrationSettings
from agentq_eval.reports.figures import Figure, print_figures

BACKBONES = {
    "webshop": "embedded-critic",
    "hotpotqa": "hotpotqa-critic",
    "alfworld": "alfworld-critic",
}


def preferred(environment: str) -> Iterator[dict[str, Any]]:
    """The better and the worse of two tried actions, state by state."""
    benchmark = load_benchmark(environment, {})
    tasks = benchmark.panel("train").tasks
    for played in benchmark.replay(tasks, 0, DemonstrationSettings(alternatives=4)):
        for step in played.steps:
            ranked = sorted(step.alternatives, key=lambda tried: tried.value)
            if len(ranked) > 1 and ranked[-1].value > ranked[0].value:
                replies = {"chosen": ranked[-1].action, "rejected": ranked[0].action}
                yield {
                    "prompt": list(step.messages),
                    **{name: [{"role": "assistant", "content": text}] for name, text in replies.items()},
                }


def seconds(rows: Any, environment: str, grouped: bool) -> tuple[float, float]:
    """Wall and CPU time of one epoch."""
    settings = PreferenceTraining(batch_size=16, group_by_length=grouped)
    base = BackboneConfig(BACKBONES[environment], device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        wall, cpu = time.perf_counter(), time.process_time()
        fit_preference(rows, base, settings, LoraSettings(), directory=folder)
        return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Speed of step-level DPO by the order of its pairs.")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--environment", choices=sorted(BACKBONES), default="webshop")
    parser.add_argument("--pairs", type=int, default=256)
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    found = preferred(options.environment)
    rows = datasets.Dataset.from_list([next(found) for _ in range(options.pairs)])
    times: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for _ in range(options.repetitions):
        for grouped in (True, False):
            times[grouped].append(seconds(rows, options.environment, grouped))
    wall, cpu = (
        {grouped: median(time[i] for time in found) for grouped, found in times.items()} for i in (0, 1)
    )
    what = f"{options.pairs} pairs of {options.environment}, 16 a batch"
    print_figures(
        [
            Figure("preference_grouped_speedup_wall", wall[False] / wall[True], None, "higher", what),
            Figure("preference_grouped_speedup_cpu", cpu[False] / cpu[True], None, "higher", what),
            Figure("preference_pairs_per_second", options.pairs / wall[True], None, "higher", "grouped"),
        ],
        options.json,
    )


if __name__ == "__main__":
    main()
