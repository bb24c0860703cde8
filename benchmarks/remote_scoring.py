"""States valued per second through a vLLM server, against the same critic computed in this process.

    AGENTQ_VLLM_PYTHON=... python benchmarks/remote_scoring.py [--json] [--hidden 512 --layers 6]

The critic is exported as hidden states and served by vLLM with prefix caching on this machine; without
``--hidden`` it is the bundled one, otherwise heads on a random Qwen3. Both sides value the same batches of new
states, in turn within one run, and must agree within 1e-3; the local side reads each prompt once
(``agentq.scoring``), the server does through its cache. ``.ci/vllm-environment FOLDER`` makes the interpreter.
"""

from __future__ import annotations

import argparse
import copy
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np

from agentq.critics.exports.formats import export_critic
from agentq.critics.loading import load_critic
from agentq.critics.q_head import QCritic
from agentq.critics.remote import RemoteCritic
from agentq.types import Candidate, Messages
from agentq_eval.reports.figures import Figure, print_figures, rounds_in_time

PORT = 8765
START_SECONDS = 300.0
SECONDS = 200.0  # rounds that would end later are left out


@dataclass(frozen=True)
class Options:
    """What is measured."""

    states: int = 16  # of a batch
    candidates: int = 8  # N
    lines: int = 40  # of a page; 22 tokens each with the bundled tokenizer
    hidden: int = 0  # width of a random backbone; 0: the bundled critic
    layers: int = 6
    rounds: int = 7


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--hidden", type=int, default=Options.hidden)
    parser.add_argument("--layers", type=int, default=Options.layers)
    parser.add_argument("--rounds", type=int, default=Options.rounds)
    arguments = parser.parse_args()
    python = os.environ.get("AGENTQ_VLLM_PYTHON", "")
    if not python:
        sys.exit("AGENTQ_VLLM_PYTHON is not set. Make the interpreter with .ci/vllm-environment FOLDER.")
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(143)
    )  # the server is a session of its own and must end too
    options = Options(hidden=arguments.hidden, layers=arguments.layers, rounds=arguments.rounds)
    print_figures(measure(options, python), arguments.json)


def measure(options: Options, python: str) -> list[Figure]:
    """The figures, from alternated calls of both sides."""
    local = make_critic(options)
    with tempfile.TemporaryDirectory() as scratch:
        folder = export_critic(local, "hidden-states", Path(scratch) / "served").folder
        with serving(python, folder, Path(scratch) / "log"), RemoteCritic.from_pretrained(
            folder, base_url=f"http://127.0.0.1:{PORT}"
        ) as remote:  # fmt: skip
            remote.score(make_states(options, -1))  # probe and warm-up
            local.score(make_states(options, -1))
            seconds: list[tuple[float, float]] = []
            difference = 0.0
            for number in rounds_in_time(options.rounds, SECONDS):
                states = make_states(options, number)
                here, expected = timed(local, states)
                there, found = timed(remote, states)
                difference = max(difference, float(np.abs(found - expected).max()))
                seconds.append((here, there))
            assert difference < 1e-3, f"the two sides differ by {difference}"
    ratio = statistics.median(here / there for here, there in seconds)
    rates = [options.states / statistics.median(side) for side in zip(*seconds, strict=True)]
    tokens = len(local.backbone.prompt_ids(make_states(options, 0)[0][0]))
    width, depth = local.backbone.hidden_size, local.backbone.num_layers
    note = (
        f"local, Qwen3 {depth}x{width} float32, {options.states} states of {tokens} tokens, "
        f"N={options.candidates}, {os.cpu_count()} cores, largest difference {difference:.1e}"
    )
    return [
        Figure("remote_scoring_share_of_local_rate", ratio, None, "higher", note),
        Figure("remote_scoring_states_per_second", rates[1], None, "higher", note),
        Figure("local_scoring_states_per_second", rates[0], None, "higher", note),
    ]


def make_critic(options: Options) -> QCritic:
    """The bundled critic, or heads on a random Qwen3 with the bundled tokenizer."""
    bundled = cast(QCritic, load_critic("embedded-q", device="cpu"))
    if not options.hidden:
        return bundled
    import torch
    from transformers import AutoModelForCausalLM

    from agentq.backbones import Backbone, BackboneConfig
    from agentq.critics.heads import QHeads

    torch.manual_seed(0)
    config = copy.deepcopy(cast(Any, bundled.backbone.model).config)
    heads = options.hidden // 64
    config.update({"hidden_size": options.hidden, "intermediate_size": 3 * options.hidden,
                   "num_hidden_layers": options.layers, "layer_types": ["full_attention"] * options.layers,
                   "num_attention_heads": heads, "num_key_value_heads": heads})  # fmt: skip
    model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    backbone = Backbone(model, bundled.backbone.tokenizer, BackboneConfig(name="random-qwen3"))
    return QCritic(backbone, QHeads(options.hidden))


def make_states(options: Options, number: int) -> list[tuple[Messages, list[Candidate]]]:
    """Pages that no other round has: the server's cache holds none of their prompts."""
    found: list[tuple[Messages, list[Candidate]]] = []
    for state in range(options.states):
        lines = [f"[b{number}{state}{i}] red mug {i}, {i} $" for i in range(options.lines)]
        content = "\n".join([f"round {number} page {state}", *lines])
        actions = [f"click[b{number}{state}{i}]" for i in range(options.candidates)]
        candidates = [Candidate(a, a, token_ids=(1,), token_logprobs=(-1.0,)) for a in actions]
        found.append(([{"role": "user", "content": content}], candidates))
    return found


def timed(
    critic: QCritic | RemoteCritic, states: list[tuple[Messages, list[Candidate]]]
) -> tuple[float, np.ndarray]:
    """Wall seconds and all values."""
    start = time.perf_counter()
    values = critic.score(states)
    return time.perf_counter() - start, np.concatenate(values)


@contextmanager
def serving(python: str, folder: Path, log: Path) -> Iterator[None]:
    """A vLLM server with the exported model until the block ends."""
    command = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--runner", "pooling", "--convert", "embed", "--dtype", "float32", "--enforce-eager"]
    command += ["--host", "127.0.0.1", "--port", str(PORT), "--served-model-name", "critic"]
    own = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    environment = {**{k: v for k, v in os.environ.items() if k != "PYTHONPATH"}, **own}
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
    try:
        end = time.monotonic() + START_SECONDS
        while not _answers():
            if process.poll() is not None or time.monotonic() > end:
                sys.exit(f"vLLM did not come up:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _answers() -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{PORT}/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    main()
