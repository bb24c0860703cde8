"""Tokens per second of feature extraction against plain forward passes of the same model.

    python benchmarks/feature_extraction.py [--json]

The extractor gets texts: it applies the chat template, tokenises, sorts, pads, runs the model, pools. The
reference gets ready tensors of the same lengths in batches that need no padding, and keeps the hidden states
only. Only real tokens count, so padding is lost time. Both run in turn, on fresh texts in every round.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from agentq.backbones import Backbone
from agentq.backbones.tiny import TinySettings, new_backbone, train_tokenizer
from agentq.features import FeatureExtractor, FeatureStore, extract_log
from agentq.features.batches import evaluating, length_batches
from agentq.features.extract import Pair, decoder_of
from agentq_eval.reports.figures import Figure, print_figures, rounds_in_time

SECONDS = 140.0  # rounds that would end later are left out
TARGET = 0.85  # of the plain forward's tokens per second
WORDS = ["red", "blue", "mug", "shirt", "cotton", "price", "rating", "search", "back", "next", "item", "buy"]


@dataclass(frozen=True)
class Options:
    """What is measured."""

    pairs: int = 256
    shortest: int = 60  # tokens
    longest: int = 400
    hidden: int = 128
    layers: int = 4
    batch_tokens: int = 4096
    rounds: int = 11
    seed: int = 0


@dataclass(frozen=True)
class Seconds:
    """Time of one call, or of one token of it."""

    cpu: float
    wall: float

    def per(self, tokens: int) -> Seconds:
        """The share of one token."""
        return Seconds(self.cpu / tokens, self.wall / tokens)


@dataclass(frozen=True)
class Round:
    """Seconds per real token of the three sides, and the share of real among computed tokens."""

    extraction: Seconds
    stored: Seconds
    plain: Seconds
    real: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    for name in ("pairs", "hidden", "layers", "batch_tokens", "rounds"):
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=int, default=getattr(Options, name), dest=name)
    arguments = vars(parser.parse_args())
    as_json = arguments.pop("json")
    print_figures(measure(Options(**arguments)), as_json)


def measure(options: Options) -> list[Figure]:
    """Alternated rounds of extraction, extraction into a store, and the reference."""
    backbone = make_backbone(options)
    extractor = FeatureExtractor(backbone, batch_tokens=options.batch_tokens)
    generator = np.random.default_rng(options.seed)
    rounds: list[Round] = []
    for _ in rounds_in_time(options.rounds + 1, SECONDS, least=4):  # the first one warms up
        sets = [make_pairs(options, generator) for _ in range(3)]
        lengths = [[len(p.state) + len(p.action) for p in map(extractor.prepare, pairs)] for pairs in sets]
        backbone._prompt_cache.clear()  # tokenisation is part of extraction, and these prompts were just seen
        extraction = clocked(lambda pairs=sets[0]: extractor.pairs(pairs)).per(sum(lengths[0]))
        with tempfile.TemporaryDirectory() as folder, FeatureStore(folder, extractor.key()) as store:
            stored = clocked(lambda pairs=sets[1], s=store: extract_log(pairs, extractor, s)).per(
                sum(lengths[1])
            )
        tensors = unpadded(lengths[2], options.batch_tokens)
        plain = clocked(lambda ts=tensors: forward(backbone, ts)).per(sum(t.numel() for t in tensors))
        padded = sum(len(b) * lengths[0][b[0]] for b in length_batches(lengths[0], options.batch_tokens))
        rounds.append(Round(extraction, stored, plain, sum(lengths[0]) / padded))
    return figures_of(rounds[1:], options)


def figures_of(rounds: list[Round], options: Options) -> list[Figure]:
    """Medians over rounds of the share of the plain forward's tokens per second."""
    note = (
        f"plain forward without padding, {1 / statistics.median(r.plain.wall for r in rounds):.0f} tokens/s; "
        f"{options.pairs} pairs of {options.shortest} to {options.longest} tokens, Qwen3 {options.layers}x"
        f"{options.hidden} float32, {torch.get_num_threads()} threads, "
        f"{statistics.median(r.real for r in rounds):.1%} of computed tokens are real"
    )
    ratios = {
        "feature_extraction_wall_share_of_plain_forward": [r.plain.wall / r.extraction.wall for r in rounds],
        "feature_extraction_cpu_share_of_plain_forward": [r.plain.cpu / r.extraction.cpu for r in rounds],
        "feature_extraction_with_store_wall_share": [r.plain.wall / r.stored.wall for r in rounds],
        "feature_extraction_with_store_cpu_share": [r.plain.cpu / r.stored.cpu for r in rounds],
    }
    return [Figure(name, statistics.median(of), TARGET, "higher", note) for name, of in ratios.items()]


def make_backbone(options: Options) -> Backbone:
    """A random Qwen3 with a tokenizer of its own, built in place."""
    tokenizer = train_tokenizer([" ".join(WORDS)], vocabulary=600)
    settings = TinySettings(
        hidden=options.hidden,
        intermediate=3 * options.hidden,
        layers=options.layers,
        heads=max(1, options.hidden // 32),
    )
    backbone = new_backbone(tokenizer, settings)
    backbone.model.eval().requires_grad_(False)
    return backbone


def make_pairs(options: Options, generator: np.random.Generator) -> list[Pair]:
    """Distinct states whose lengths spread evenly over the range (about one token a word)."""
    lengths = generator.integers(options.shortest - 12, options.longest - 12, options.pairs)
    return [
        (
            [{"role": "user", "content": " ".join(generator.choice(WORDS, size))}],
            f"click[{generator.choice(WORDS)}]",
        )
        for size in lengths
    ]


def unpadded(lengths: list[int], budget: int) -> list[torch.Tensor]:
    """Batches of as many rows as the extractor's, each row as long as the batch's mean: no padding."""
    batches = [[lengths[i] for i in batch] for batch in length_batches(lengths, budget)]
    return [torch.randint(0, 300, (len(b), round(sum(b) / len(b)))) for b in batches]


def forward(backbone: Backbone, tensors: list[torch.Tensor]) -> None:
    """Hidden states of ready batches, nothing else."""
    decoder = decoder_of(backbone.model)
    with evaluating(backbone.model):
        for ids in tensors:
            decoder(input_ids=ids.to(backbone.device), use_cache=False)


def clocked(call: Callable[[], object]) -> Seconds:
    """CPU seconds of this process (all threads) and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    call()
    return Seconds(time.process_time() - cpu, time.perf_counter() - wall)


if __name__ == "__main__":
    main()
