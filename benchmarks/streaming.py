"""Critic training on features that do not fit: 1,000,000 transitions streamed from disk.

    python benchmarks/streaming.py [--json] [--rows 1000000] [--small 50000] [--dtype float16]

Made features (256 dims for (state, action) and for states) are written to disk once; a child process
trains the default TD objective on them with ``fit_heads`` and reports its own peak resident memory. The
throughput on all rows is compared with that on the first ``--small`` rows in turns (A/B, several rounds,
medians of ratios), so that a busy machine slows both alike.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from agentq_eval.reports.figures import Figure, print_figures

DIMS = 256
BATCH = 256
ROUNDS = 6
STEPS = 130  # of a round: one pool of the large run
MEMORY_GIB = 1.5
RATIO = 0.9  # of the throughput on few rows
LENGTH = 8  # steps of a made episode


def write_features(folder: Path, rows: int, dtype: str) -> None:
    """Two (rows, 256) matrices, written in pieces."""
    rng = np.random.default_rng(0)
    for name in ("q", "s"):
        matrix = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.dtype(dtype), (rows, DIMS))
        for start in range(0, rows, 50_000):
            piece = rng.standard_normal((min(50_000, rows - start), DIMS), dtype=np.float32)
            matrix[start : start + len(piece)] = piece
        matrix.flush()
        del matrix


def make_data(folder: Path, rows: int) -> Any:
    """Transitions in episodes of ``LENGTH`` steps over memory-mapped features."""
    from agentq.training.critic_data import CriticData

    steps = np.arange(rows)
    ends = (steps + 1) % LENGTH == 0
    rewards = np.where(ends, steps % 2, 0.0)
    return CriticData(
        q_features=np.load(folder / "q.npy", mmap_mode="r"),
        q_rows=steps,
        returns=rewards,
        rewards=rewards,
        terminated=ends,
        state_features=np.load(folder / "s.npy", mmap_mode="r"),
        state_rows=steps,
        next_state_rows=np.where(ends | (steps == rows - 1), -1, steps + 1),
    )


def child(folder: Path, rows: int, small: int) -> None:
    """Train on both sizes in turns; one JSON line with seconds per step and peak memory."""
    import torch

    from agentq.critics.heads import HeadSettings
    from agentq.training.critic import new_heads
    from agentq.training.critic_data import Split
    from agentq.training.head_batches import HeadSource
    from agentq.training.head_loss import HeadLoss, ObjectiveSettings
    from agentq.training.loop import train
    from agentq.training.settings import TrainingSettings

    torch.set_num_threads(1)
    head = HeadSettings(heads=2, state_heads=2)
    runs: dict[int, Any] = {}
    for size in (small, rows):
        data = make_data(folder, size)
        part = Split(np.arange(size), np.arange(0))
        loss = HeadLoss(new_heads(data, head, part, 0), ObjectiveSettings(name="td"))
        runs[size] = loss, HeadSource(data, part, BATCH, 0, states=True, seed=0)
    settings = TrainingSettings(steps=STEPS, batch_size=BATCH, tracker="none", progress=False)
    seconds: dict[int, list[float]] = {small: [], rows: []}
    for turn in range(ROUNDS + 1):
        for size in (small, rows) if turn % 2 else (rows, small):
            loss, source = runs[size]
            began = time.perf_counter()
            train(loss, Shifted(source, turn * STEPS), settings)
            if turn:  # the first round warms up
                seconds[size].append((time.perf_counter() - began) / STEPS)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # KiB on Linux
    record = {"small": seconds[small], "large": seconds[rows], "peak_gib": peak}
    print(json.dumps(record))


class Shifted:
    """A source that goes on where the round before ended."""

    def __init__(self, source: Any, first: int) -> None:
        self.source, self.first, self.identity = source, first, source.identity
        self.weight = source.weight

    def batch(self, index: int) -> Any:
        """Micro-batch ``index`` of this round."""
        return self.source.batch(self.first + index)

    def describe(self, index: int) -> str:
        """The rows of a micro-batch."""
        return self.source.describe(self.first + index)


def main() -> None:
    """Write features, run the child, print figures."""
    parser = argparse.ArgumentParser(description="Critic training on features that do not fit.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--small", type=int, default=50_000)
    parser.add_argument("--dtype", choices=("float16", "float32"), default="float16")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        child(options.child, options.rows, options.small)
        return
    with tempfile.TemporaryDirectory() as scratch:
        write_features(Path(scratch), options.rows, options.dtype)
        words = [sys.executable, __file__, "--child", scratch]
        words += ["--rows", str(options.rows), "--small", str(options.small)]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    record = json.loads(done.stdout.splitlines()[-1])
    ratio = statistics.median(s / b for s, b in zip(record["small"], record["large"], strict=True))
    rate = BATCH / statistics.median(record["large"])
    disk = 2 * options.rows * DIMS * np.dtype(options.dtype).itemsize / 2**30
    data = f"{options.rows:,} transitions x {DIMS} dims, {options.dtype}"
    on_few = f"the same training on the first {options.small:,} of {data}, in turns"
    figures = [
        Figure("streaming_throughput_ratio", ratio, RATIO, "higher", on_few),
        Figure(
            "streaming_peak_resident_gib",
            record["peak_gib"],
            MEMORY_GIB,
            "lower",
            f"two feature matrices of {disk:.2f} GiB on disk: {data}",
        ),
        Figure("streaming_transitions_per_second", rate, None, "higher", "one thread; for information"),
    ]
    print_figures(figures, options.json)


if __name__ == "__main__":
    main()
