"""Critic training speed: transitions per CPU-second against the released Digi-Q loop.

    python benchmarks/critic_training.py [--repetitions 7] [--json]

Both sides train the same heads (the very same tensors) on the same 256 synthetic transitions in one process,
alternating one step of 128 transitions each; process CPU time, medians over the repetitions.

reference     the released loop, re-created from its formulas: text re-encoded by trainable encoders in
              each of three forward passes, four heads in both target passes, every candidate vector
              collated, 4 micro-batches of 32 with gradient clipping after each, unfused Adam, Polyak by
              parameter. Tokenised in advance, which favours it.
as shipped    the same with anomaly detection on and an equally long validation pass.
same batching ``agentq.objectives.critic_step`` on cached text vectors with the reference's targets (Q' at the
              logged action, V' at the next state), 4 micro-batches of 32, clipped once.
with Q'       the same in one batch of 128.
default       one batch of 128 with ``StepSettings``' defaults: V is fitted to the current Q, so Q' is not
              needed.

The text encoders are random RoBERTa of 2 layers x 64 instead of three RoBERTa-base, so that all fits a small
machine; the other widths are the released ones (image 2816, candidate vector 4096; 111.5 M parameters). Small
encoders favour the reference too: ours never runs them.

Process CPU time contains the busy waiting of threads at barriers: on a machine with other load the
reference, which has many short parallel regions, loses more to it. An otherwise idle machine gives the
smaller, fairer ratios.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from agentq.objectives.critic_step import StepSettings, TransitionBatch, critic_step
from agentq.objectives.polyak import target_copy
from agentq.objectives.wide_linear import WideLinear
from agentq_eval.reports.figures import Figure, print_figures, rounds_in_time

IMAGE, CANDIDATE, TEXT, K = 2816, 4096, 64, 16  # stacked screenshots, VLM vector, text vector, candidates
TRANSITIONS, MICRO, ACCUMULATION = 256, 32, 4
STEP = MICRO * ACCUMULATION  # transitions per optimiser step
GAMMA, TAU, CLIP, LEARNING_RATE = 0.95, 0.1, 0.01, 1e-5
TEXTS = ("previous_type", "previous_text", "goal", "action_type", "action_text")
SECONDS = 130.0  # what is not begun by then is left out
TIMED = ("reference", "same batching", "with Q'", "default")


def mlp(linear: type[nn.Linear], *widths: int) -> nn.Sequential:
    """Linear layers with ReLU between, one output."""
    layers: list[nn.Module] = []
    for width, following in pairwise(widths):
        layers += [linear(width, following), nn.ReLU()]
    return nn.Sequential(*layers, linear(widths[-1], 1))


class Heads(nn.Module):
    """Two Q and two V heads of the released shape: hidden widths follow the text width."""

    def __init__(self, linear: type[nn.Linear]) -> None:
        super().__init__()
        state = IMAGE + 3 * TEXT
        action = state + 2 * TEXT + CANDIDATE
        self.q_heads = nn.ModuleList(mlp(linear, action, action, *[5 * TEXT] * 3) for _ in range(2))
        self.v_heads = nn.ModuleList(mlp(linear, state, *[3 * TEXT] * 3) for _ in range(2))

    def q(self, state_action: Tensor) -> Tensor:
        """(B, 7232) -> (2, B)."""
        return torch.cat([head(state_action) for head in self.q_heads], dim=1).T

    def v(self, state: Tensor) -> Tensor:
        """(B, 3008) -> (2, B)."""
        return torch.cat([head(state) for head in self.v_heads], dim=1).T


# ---------------------------------------------------------------- the released loop


class ReleasedCritic(nn.Module):
    """Heads and three trainable text encoders; every call encodes all texts and runs all four heads."""

    def __init__(self, heads: Heads) -> None:
        super().__init__()
        from transformers import RobertaConfig, RobertaModel

        config = RobertaConfig(
            vocab_size=1000,
            hidden_size=TEXT,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=4 * TEXT,
            max_position_embeddings=130,
        )
        self.heads = heads
        self.encoders = nn.ModuleDict(
            {f"{name}_encoder": RobertaModel(config) for name in ("goal", "type", "text")}
        )

    def encode(self, name: str, tokens: Tensor) -> Tensor:
        """Text vectors (B, 64) of token ids (B, T): type and text encoders serve history and candidate."""
        return self.encoders[f"{name.rpartition('_')[2]}_encoder"](tokens).pooler_output

    def forward(self, batch: dict[str, Tensor], image: Tensor) -> tuple[Tensor, Tensor]:
        """Q and V, (2, B) each, of the logged action at the state with this image."""
        text = {name: self.encode(name, batch[name]) for name in TEXTS}
        state = torch.cat([text["previous_type"], text["previous_text"], text["goal"], image], dim=1)
        action = torch.cat([state, text["action_type"], text["action_text"], batch["candidate"]], dim=1)
        return self.heads.q(action), self.heads.v(state)


def released_losses(online: ReleasedCritic, target: ReleasedCritic, batch: dict[str, Tensor]) -> Tensor:
    """Sum of the four TD losses, head i bootstrapping from head i."""
    q, v = online(batch, batch["image"])
    with torch.no_grad():
        target_q, _ = target(batch, batch["image"])
        _, target_next_v = target(batch, batch["next_image"])
        y = batch["reward"] + (1 - batch["done"]) * GAMMA * target_next_v
    return (q - y).square().mean(dim=1).sum() + (v - target_q).square().mean(dim=1).sum()


@dataclass
class Released:
    """One epoch of the released trainer: 4 micro-batches, one optimiser step."""

    online: ReleasedCritic
    target: ReleasedCritic
    samples: list[dict[str, Tensor]]
    optimizer: torch.optim.Optimizer
    as_shipped: bool = False

    def batches(self, order: Sequence[int]) -> list[dict[str, Tensor]]:
        """Collated micro-batches; the loader copies all K candidate vectors, which this loss never reads."""
        chunks = [order[at : at + MICRO] for at in range(0, STEP, MICRO)]
        return [default_collate([self.samples[i] for i in chunk]) for chunk in chunks]

    def epoch(self, order: Sequence[int]) -> None:
        """Train on the 128 transitions of ``order``."""
        with torch.autograd.set_detect_anomaly(True) if self.as_shipped else contextlib.nullcontext():
            for batch in self.batches(order):
                (released_losses(self.online, self.target, batch) / ACCUMULATION).backward()
                nn.utils.clip_grad_norm_(self.online.parameters(), CLIP)
            self.optimizer.step()
            self.optimizer.zero_grad()
            for slow, fast in zip(self.target.parameters(), self.online.parameters(), strict=True):
                slow.data.copy_(slow.data * (1 - TAU) + fast.data * TAU)
        if self.as_shipped:
            with torch.no_grad():
                for batch in self.batches(order):
                    released_losses(self.online, self.target, batch)


# ---------------------------------------------------------------- ours


@dataclass
class Lean:
    """One optimiser step of ``critic_step`` on cached features."""

    online: Heads
    target: Heads
    features: TransitionBatch  # all transitions
    optimizer: torch.optim.Optimizer
    micro: int
    settings: StepSettings

    def epoch(self, order: Sequence[int]) -> None:
        """Train on the 128 transitions of ``order``."""
        chunks = [torch.tensor(order[at : at + self.micro]) for at in range(0, STEP, self.micro)]
        batches = [rows_of(self.features, rows) for rows in chunks]
        critic_step(self.online, self.target, self.optimizer, batches, self.settings)


def rows_of(features: TransitionBatch, rows: Tensor) -> TransitionBatch:
    """Some rows of all transitions, copied."""
    names = [f.name for f in fields(TransitionBatch) if f.name != "backup"]
    return TransitionBatch(**{name: getattr(features, name)[rows] for name in names})


@torch.no_grad()
def cached_features(critic: ReleasedCritic, samples: list[dict[str, Tensor]]) -> TransitionBatch:
    """The inputs of the heads, with every text encoded once."""
    batch = default_collate(samples)
    text = {name: critic.encode(name, batch[name]) for name in TEXTS}
    history = torch.cat([text["previous_type"], text["previous_text"], text["goal"]], dim=1)
    state = torch.cat([history, batch["image"]], dim=1)
    return TransitionBatch(
        state=state,
        state_action=torch.cat([state, text["action_type"], text["action_text"], batch["candidate"]], dim=1),
        next_state=torch.cat([history, batch["next_image"]], dim=1),
        reward=batch["reward"],
        terminated=batch["done"],
    )


# ---------------------------------------------------------------- measuring


def synthetic_samples(count: int) -> list[dict[str, Tensor]]:
    """Transitions of the released shape with random numbers; texts of about the released lengths."""
    lengths = {"previous_type": 6, "previous_text": 8, "goal": 24, "action_type": 6, "action_text": 8}
    samples = []
    for _ in range(count):
        candidates = torch.randn(K, CANDIDATE)
        sample = {name: torch.randint(5, 1000, (length,)) for name, length in lengths.items()}
        sample |= {"image": torch.randn(IMAGE), "next_image": torch.randn(IMAGE)}
        sample |= {"candidates": candidates, "candidate": candidates[0]}
        sample |= {"reward": (torch.rand(()) < 0.1).float(), "done": (torch.rand(()) < 0.1).float()}
        samples.append(sample)
    return samples


def share(heads: Heads, owner: Heads) -> Heads:
    """Give ``heads`` the very parameters of ``owner``: one copy in memory, trained by both sides in turn."""
    for (name, module), other in zip(heads.named_modules(), owner.modules(), strict=True):
        for key, parameter in other.named_parameters(recurse=False):
            assert getattr(module, key).shape == parameter.shape, name
            setattr(module, key, parameter)
    return heads


def build() -> dict[str, Callable[[Sequence[int]], None]]:
    """The arms over shared heads and target; each optimiser has its own state."""
    torch.manual_seed(0)
    samples = synthetic_samples(TRANSITIONS)
    critic = ReleasedCritic(Heads(nn.Linear))
    target = target_copy(critic)
    target.train()  # dropout draws belong to the released target pass
    heads, slow_heads = (share(Heads(WideLinear), module.heads) for module in (critic, target))
    adam = torch.optim.Adam(critic.parameters(), lr=LEARNING_RATE)
    fused = torch.optim.Adam(heads.parameters(), lr=LEARNING_RATE, fused=True)
    defaults = StepSettings(gamma=GAMMA, tau=TAU, max_grad_norm=CLIP)
    released = replace(defaults, bootstrap="own", v_target="target")
    features = cached_features(critic, samples)
    slow_values = target_copy(Heads(WideLinear))
    del slow_values.q_heads  # the default needs a slow copy of the V heads only

    def lean(slow: Heads, micro: int, settings: StepSettings) -> Callable[[Sequence[int]], None]:
        return Lean(heads, slow, features, fused, micro, settings).epoch

    return {
        "reference": Released(critic, target, samples, adam).epoch,
        "same batching": lean(slow_heads, MICRO, released),
        "with Q'": lean(slow_heads, STEP, released),
        "default": lean(slow_values, STEP, defaults),
        "as shipped": Released(critic, target, samples, adam, as_shipped=True).epoch,
    }


def cpu_seconds(epoch: Callable[[Sequence[int]], None], order: Sequence[int]) -> float:
    """Process CPU time of one epoch, all threads."""
    start = time.process_time()
    epoch(order)
    return time.process_time() - start


def measure(repetitions: int) -> dict[str, list[float]]:
    """Transitions per CPU-second of each arm, one figure per repetition, after one warm-up step each.

    Stops early as ``rounds_in_time`` does.
    """
    started = time.monotonic()
    arms = build()
    for name in TIMED:
        arms[name](range(STEP))
    rates: dict[str, list[float]] = {name: [] for name in arms}
    longest = 0.0
    for _ in rounds_in_time(repetitions, SECONDS - (time.monotonic() - started)):
        begun = time.monotonic()
        order = torch.randperm(TRANSITIONS)[:STEP].tolist()
        for name in TIMED:
            rates[name].append(STEP / cpu_seconds(arms[name], order))
        longest = max(longest, time.monotonic() - begun)
    if time.monotonic() - started + 1.5 * longest < SECONDS:  # informative only, so when there is time
        rates["as shipped"].append(STEP / cpu_seconds(arms["as shipped"], range(STEP)))
    return rates


def figures(rates: dict[str, list[float]]) -> list[Figure]:
    """Ratios of medians with their targets."""
    median = {name: statistics.median(values) for name, values in rates.items() if values}
    reference = (
        f"released Digi-Q update without anomaly detection, {median['reference']:.2f} transitions/CPU-s"
    )
    return [
        Figure(
            f"critic_training_speedup_{label}", median[arm] / median["reference"], goal, "higher", reference
        )
        for label, arm, goal in (("default", "default", 9.0), ("same_batching", "same batching", 3.5))
    ]


def main() -> None:
    """Measure and print a table, or one JSON object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=7, help="alternations of the arms")
    parser.add_argument("--threads", type=int, default=2, help="torch threads of both sides")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rates = measure(options.repetitions)
    for name, values in rates.items():
        if values:
            middle, spread = statistics.median(values), f"{min(values):.2f} to {max(values):.2f}"
            against = "".join(
                f", {middle / statistics.median(rates[other]):.1f} x {other}"
                for other in ("reference", "as shipped")
                if rates[other]
            )
            print(f"{name:13} {middle:7.2f} transitions/CPU-s ({spread}{against})", file=sys.stderr)
    print_figures(figures(rates), options.json)


if __name__ == "__main__":
    main()
