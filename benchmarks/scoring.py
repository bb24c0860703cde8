"""Features of N candidates behind one prompt, against reading every (prompt, candidate) by itself.

    python benchmarks/scoring.py [--json]

Both sides compute the same pooled hidden states of a random Qwen3 in float32, in turn within one run.
With L prompt tokens and N candidates of a tokens, the bound on the ratio is N (L + a) / (L + N a).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from agentq.backbones import Backbone, BackboneConfig
from agentq.scoring import one_by_one, score_features
from agentq_eval.reports.figures import Figure, print_figures, rounds_in_time

TARGET_SHARE = 0.8  # of the bound
SECONDS = 100.0  # rounds that would end later are left out


@dataclass(frozen=True)
class Options:
    """What is measured."""

    prompt: int = 512  # L, tokens
    candidates: int = 16  # N
    tokens: int = 16  # a, per candidate
    hidden: int = 512
    layers: int = 6
    repeats: int = 5
    seed: int = 0


@dataclass(frozen=True)
class Seconds:
    """Time of one call."""

    cpu: float
    wall: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--repeats", type=int, default=Options.repeats)
    parser.add_argument("--hidden", type=int, default=Options.hidden)
    parser.add_argument("--layers", type=int, default=Options.layers)
    arguments = parser.parse_args()
    options = Options(repeats=arguments.repeats, hidden=arguments.hidden, layers=arguments.layers)
    print_figures(measure(options), arguments.json)


def measure(options: Options) -> list[Figure]:
    """The figures, from alternated calls of both sides."""
    backbone = make_backbone(options)
    generator = torch.Generator().manual_seed(options.seed)
    prompt = torch.randint(0, 1000, (options.prompt,), generator=generator).tolist()
    # First tokens differ, so that no candidate shares its beginning with another.
    candidates = torch.randint(0, 1000, (options.candidates, options.tokens), generator=generator)
    candidates[:, 0] = torch.arange(options.candidates)
    ids = candidates.tolist()

    def shared() -> Tensor:
        return score_features(backbone, [prompt], [ids], (-1,), last)[0]

    def reference() -> Tensor:
        return one_by_one.score_features(backbone, [prompt], [ids], (-1,), last)[0]

    with torch.no_grad():
        difference = float((shared() - reference()).abs().max())
        assert difference < 1e-4, f"the two sides differ by {difference}"
        rounds = [(clocked(shared), clocked(reference)) for _ in rounds_in_time(options.repeats, SECONDS)]
    n, length, tokens = options.candidates, options.prompt, options.tokens
    bound = n * (length + tokens) / (length + n * tokens)
    cpu = statistics.median(slow.cpu / fast.cpu for fast, slow in rounds)
    wall = statistics.median(slow.wall / fast.wall for fast, slow in rounds)
    note = (
        f"one by one, N={n} a={tokens} L={length}, Qwen3 {options.layers}x{options.hidden} float32, "
        f"{torch.get_num_threads()} threads, bound {bound:.2f}, largest difference {difference:.1e}"
    )
    return [
        Figure("scoring_cpu_speedup_share_of_bound", cpu / bound, TARGET_SHARE, "higher", note),
        Figure("scoring_wall_speedup_share_of_bound", wall / bound, TARGET_SHARE, "higher", note),
        Figure("scoring_cpu_speedup", cpu, round(TARGET_SHARE * bound, 2), "higher", note),
        Figure("scoring_wall_speedup", wall, round(TARGET_SHARE * bound, 2), "higher", note),
    ]


def make_backbone(options: Options) -> Backbone:
    """A random Qwen3 in which matrix products dominate."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(options.seed)
    config = Qwen3Config(
        vocab_size=1000,
        hidden_size=options.hidden,
        intermediate_size=3 * options.hidden,
        num_hidden_layers=options.layers,
        num_attention_heads=options.hidden // 64,
        num_key_value_heads=options.hidden // 128,
        head_dim=64,
        max_position_embeddings=2048,
    )
    model = Qwen3ForCausalLM(config).eval().requires_grad_(False)
    return Backbone(model, None, BackboneConfig(name="random-qwen3"))


def last(hidden: Tensor, mask: Tensor) -> Tensor:
    """The last action token's hidden state; (B, T, D), (B, T) -> (B, D)."""
    ends = mask.int().cumsum(1).argmax(1)
    return hidden[torch.arange(len(ends)), ends]


def clocked(call: Callable[[], object]) -> Seconds:
    """CPU seconds of this process (all threads) and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    call()
    return Seconds(time.process_time() - cpu, time.perf_counter() - wall)


if __name__ == "__main__":
    main()
