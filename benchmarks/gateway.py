"""What guidance costs at the gateway: a stub upstream of fixed latency, n = 8, the embedded critic.

    python benchmarks/gateway.py [--json] [--repeats 3]

Upstream, gateway (with its critic in a process of its own) and clients are processes apart. Unguided requests go
through the same gateway with {"agentq": {"enabled": false}}, in turn with guided ones. At 50 clients the requests
come at half the rate of which the bare critic is capable (agents think, act and wait in between); saturation is
measured without pauses. Every request begins with a number of its own, so that no state was read before. The
bare critic scores the same states in batches of 4.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gateway_traffic import Measured, Order, collect_states, gateway, measured, quantile, stub_upstream

from agentq_eval.reports.figures import Figure, print_figures

UNGUIDED = {"agentq": {"enabled": False}}
BATCH = 4
OPTIONS = ("--critic", "embedded-q", "--n", "8", "--threads", "1", "--deadline", "60",
           "--max-queue", "1000", "--critic-process")  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare is not None:
        print(bare_rate(arguments.bare))
        return
    with tempfile.TemporaryDirectory() as folder:
        states = Path(folder) / "states.json"
        collect_states(states)
        with stub_upstream(states) as upstream, gateway(upstream, *OPTIONS) as (port, _):
            warm(port, states)
            print_figures(figures(port, states, arguments.repeats), arguments.json)


def warm(port: int, states: Path) -> None:
    """The first calls of torch are slow."""
    measured(Order(port, str(states), 4, 40))


def figures(port: int, states: Path, repeats: int) -> list[Figure]:
    """Medians over the repeats."""
    rows = [one_round(port, states, number) for number in range(repeats)]
    added, p99, share, rate, full, bare_ms = ([row[i] for row in rows] for i in range(6))

    def note(text: str, values: list[float]) -> str:
        return f"{text}; rounds {', '.join(f'{value:.3g}' for value in values)}"

    return [
        Figure(
            "gateway_added_median_ms", statistics.median(added), 15.0, "lower",
            note("guided over unguided, one client, upstream of 50 ms", added),
        ),
        Figure(
            "gateway_added_p99_ms", statistics.median(p99), 60.0, "lower",
            note("p99 guided over median unguided, 50 clients at half the bare critic's rate", p99),
        ),
        Figure(
            "gateway_saturation_share", statistics.median(share), 0.8, "higher",
            note(f"of the bare critic's rate in batches of {BATCH}", share),
        ),
        Figure("gateway_saturation_per_second", statistics.median(rate), None, "higher", note("50 clients", rate)),
        Figure("gateway_saturated_p99_ms", statistics.median(full), None, "lower", note("50 clients, no pauses", full)),
        Figure("bare_critic_ms_per_state", statistics.median(bare_ms), None, "lower", note("one thread", bare_ms)),
    ]  # fmt: skip


def one_round(port: int, states: Path, seed: int) -> tuple[float, float, float, float, float, float]:
    """The six numbers of ``figures``, measured next to each other."""

    def play(clients: int, requests: int, per_second: float = 0.0, guided: bool = True) -> Measured:
        order = Order(port, str(states), clients, requests, {} if guided else UNGUIDED, per_second, seed)
        found = measured(order)
        assert found.errors == 0, f"{found.errors} errors"
        assert found.guided == (requests if guided else 0), f"{found.guided} of {requests} guided"
        return found

    unguided, guided = play(1, 60, guided=False), play(1, 60)
    added = statistics.median(guided.milliseconds) - statistics.median(unguided.milliseconds)
    rate = float(subprocess.run(
        [sys.executable, __file__, "--bare", str(states)], capture_output=True, text=True, check=True
    ).stdout)  # fmt: skip
    paced = play(50, 300, rate / 2)
    base = play(50, 300, rate / 2, guided=False)
    p99 = quantile(paced.milliseconds, 0.99) - statistics.median(base.milliseconds)
    full = play(50, 400)
    served = len(full.milliseconds) / full.seconds
    return added, p99, served / rate, served, quantile(full.milliseconds, 0.99), 1000 / rate


def bare_rate(states: Path) -> float:
    """States per second of the critic alone, in batches."""
    from agentq.gateway.critic_service import serving_critic
    from agentq.types import Candidate

    critic = serving_critic("embedded-q", threads=1)
    batch = []
    for state in json.loads(states.read_text()):
        distinct = {text: Candidate(text, text, token_logprobs=(lp,)) for text, lp in state["samples"]}
        batch.append((state["messages"], list(distinct.values())))
    batch = (batch * 4)[: 4 * len(batch) // BATCH * BATCH]
    critic.score_heads(batch[:BATCH])
    began = time.perf_counter()
    for start in range(0, len(batch), BATCH):
        critic.score_heads(batch[start : start + BATCH])
    return len(batch) / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
