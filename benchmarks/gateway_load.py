"""The gateway under load for long: no error, and memory that stays flat.

    python benchmarks/gateway_load.py [--json] [--requests 20000] [--clients 200]

Resident memory is that of the gateway and of its critic's process, sampled once a second. Its growth is that of
the last tenth's median over the median around half of the requests.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
from pathlib import Path

from gateway import OPTIONS
from gateway_traffic import Order, collect_states, gateway, measured, stub_upstream

from agentq_eval.reports.figures import Figure, print_figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--clients", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        states = Path(folder) / "states.json"
        collect_states(states)
        with stub_upstream(states) as upstream:
            options = (*OPTIONS, "--log", f"{folder}/log", "--max-sessions", "500")
            with gateway(upstream, *options) as (port, pid):
                measured(Order(port, str(states), 4, 100))
                found = under_load(port, pid, states, arguments.clients, arguments.requests)
    print_figures(found, arguments.json)


def under_load(port: int, pid: int, states: Path, clients: int, requests: int) -> list[Figure]:
    """Errors, guided share, rate and growth."""
    samples: list[int] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(1.0):
            samples.append(resident(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        found = measured(Order(port, str(states), clients, requests))
    finally:
        ended.set()
        watcher.join()
    tenth = max(1, len(samples) // 10)
    middle = len(samples) // 2
    half = statistics.median(samples[max(0, middle - tenth // 2) : middle + tenth // 2 + 1])
    end = statistics.median(samples[-tenth:])
    note = f"{requests} requests of {clients} clients, all logged"
    return [
        Figure("gateway_load_errors", found.errors, 0.0, "lower", note),
        Figure("gateway_load_unguided", requests - found.guided, 0.0, "lower", note),
        Figure("gateway_load_growth", end / half - 1, 0.05, "lower", f"{half / 2**20:.0f} MiB at half"),
        Figure("gateway_load_per_second", requests / found.seconds, None, "higher", note),
    ]


def resident(pid: int) -> int:
    """Bytes of a process and of its children (Linux)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(_resident_of(number) for number in (str(pid), *children))


def _resident_of(number: str) -> int:
    try:
        lines = Path(f"/proc/{number}/status").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


if __name__ == "__main__":
    main()
