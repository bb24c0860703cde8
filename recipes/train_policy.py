"""Train a small causal LM to act in an environment, from demonstrations of mixed quality.

The story: players with real habits leave episodes on training tasks; a tokenizer is trained on what they saw;
a Qwen3 of 1.9 M weights that starts with heads that copy learns to do as they did; its sampled and greedy score
on validation tasks, which it never saw, is measured and written into its card.

    accelerate launch recipes/train_policy.py --output runs/policy
    accelerate launch recipes/train_policy.py --environment alfworld --data.careful 0.12 --output runs/household
    accelerate launch recipes/train_policy.py --environment hotpotqa --output runs/researcher

Where the models that `agentq_data` ships come from stands in their `training.yaml`, stage by stage. That of
WebShop was made in three, with fewer and fewer shoppers who only look around:

    accelerate launch recipes/train_policy.py --output runs/first --data.browsers 0.6 --sessions 8000
    accelerate launch recipes/train_policy.py --output runs/second --start runs/first/model --sessions 8000 \
        --openings 5000 --seed 1
    accelerate launch recipes/train_policy.py --output runs/policy --start runs/second/model --sessions 5000 \
        --openings 1000 --seed 2 --data.browsers 0.05 --learning_rate 0.0007

`--data.products FILE --data.attributes FILE --data.further_shops 0` learns from an official catalogue instead.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from agentq.backbones.config import Dtype
from agentq.backbones.tokens import ChatTokenizer
from agentq.config import load_config, to_dict, to_yaml
from agentq_envs.benchmark import Benchmark, load_benchmark
from agentq_envs.session_parts import Part, in_processes, parts_of

if TYPE_CHECKING:
    from agentq.backbones import Backbone
    from agentq.training.branching import BranchingExample
    from agentq.training.supervised import SupervisedFit
    from agentq_envs.demonstrations import Demonstration


@dataclass(frozen=True)
class ModelShape:
    """The model trained from scratch."""

    vocabulary: int = 3000
    hidden: int = 160
    intermediate: int = 400
    layers: int = 4
    heads: int = 4
    head_dim: int = 64


@dataclass(frozen=True)
class Config:
    """Options of this recipe."""

    output: Path = Path("runs/policy")  # receives model/ with its card, and checkpoints
    environment: str = "webshop"  # a folder of agentq_envs with a module `benchmark`, or module:Class
    data: dict[str, Any] = field(default_factory=dict[str, Any])  # fields of its Benchmark
    sessions: int = 12000  # demonstrations in all
    openings: int = 30000  # further sessions of which only the first action is imitated, e.g. a search
    draws: int = 3  # actions of the same player imitated per state
    keep: float = 0.5  # share of a session's steps that is learnt
    start: Path | None = None  # folder of a model to go on from, instead of a new one
    epochs: int = 1
    copying: tuple[int, ...] = (60, 240)  # lengths of the texts that copying is practised on, in turn
    copying_steps: int = 60  # optimiser steps per length
    token_budget: int = 4096  # padded tokens per optimiser step
    learning_rate: float = 1e-3
    warmup: int = 100  # optimiser steps
    validation_episodes: int = 300
    temperature: float = 0.8  # of the sampled validation episodes
    max_new_tokens: int = 48  # of an action in validation
    dtype: Dtype = "float32"  # of the file; what is measured is rounded to it
    workers: int = 1  # processes that play sessions; the result does not depend on it
    seed: int = 0
    shape: ModelShape = field(default_factory=ModelShape)


def main() -> None:
    """Demonstrations -> tokenizer -> imitation -> validation -> model folder with its card."""
    config = load_config(Config)
    config.output.mkdir(parents=True, exist_ok=True)
    (config.output / "config.yaml").write_text(to_yaml(config))

    began = time.time()
    backbone = started_model(config)
    parts = [
        *parts_of(config.sessions, config.seed),
        *parts_of(config.openings, config.seed + 2, most_steps=1),
    ]
    imitating = partial(imitated, config, ChatTokenizer(backbone.tokenizer, "policy"))
    examples = list(in_processes(imitating, parts, config.workers))
    print(f"{len(examples)} states to imitate after {time.time() - began:.0f} s", flush=True)

    if config.start is None:
        practise_copying(backbone, config)
        print(f"copying practised after {time.time() - began:.0f} s", flush=True)
    fit = learn(backbone, examples, config)
    folder = config.output / "model"
    backbone.save_pretrained(folder, config.dtype)
    record_stages(folder, config)

    scores = validate(backbone, config)
    write_card(folder, config, fit, scores, len(examples))
    print(json.dumps(scores, indent=2), flush=True)


def sessions(config: Config, part: Part) -> Iterator[Demonstration]:
    """Sessions of players on tasks that may be learnt from."""
    from agentq_envs.demonstrations import DemonstrationSettings

    settings = DemonstrationSettings(config.draws, keep=config.keep, most_steps=part.most_steps)
    yield from benchmark(config).sessions(part.count, part.seed, settings)


def benchmark(config: Config) -> Benchmark:
    """The environment that is learnt."""
    return load_benchmark(config.environment, config.data)


def tokenizer_of_sessions(config: Config) -> Any:
    """A tokenizer trained on the prompts and actions of a few sessions."""
    from agentq.backbones.tiny import train_tokenizer

    texts = (
        text
        for part in parts_of(min(config.sessions, 2000), config.seed + 1)
        for session in sessions(config, part)
        for step in session.steps
        for text in (str(step.messages[-1]["content"]), step.action)
    )
    return train_tokenizer(texts, config.shape.vocabulary)


def started_model(config: Config) -> Backbone:
    """The model to train: the one to go on from, or an untrained one."""
    from agentq.backbones import BackboneConfig, load_backbone

    if config.start is None:
        return new_model(tokenizer_of_sessions(config), config)
    return load_backbone(BackboneConfig(name=str(config.start), dtype="float32"))


def new_model(tokenizer: Any, config: Config) -> Backbone:
    """The untrained causal LM."""
    from agentq.backbones.tiny import TinySettings, new_backbone

    shape = config.shape
    settings = TinySettings(
        shape.vocabulary,
        shape.hidden,
        shape.intermediate,
        shape.layers,
        shape.heads,
        shape.head_dim,
        copying_heads=True,
        seed=config.seed,
    )
    return new_backbone(tokenizer, settings)


def imitated(config: Config, tokens: ChatTokenizer, part: Part) -> list[BranchingExample]:
    """One example per step: the prompt, and every drawn action weighted by how often it was drawn."""
    from agentq.training.branching import Branch, BranchingExample

    examples: list[BranchingExample] = []
    for session in sessions(config, part):
        for step in session.steps:
            branches: list[Branch] = []
            for action in dict.fromkeys(step.draws):
                ids = tuple(tokens.action_ids(action))
                branches.append(Branch(ids, (step.draws.count(action) / len(step.draws),) * len(ids)))
            examples.append(BranchingExample(tuple(tokens.prompt_ids(step.messages)), tuple(branches)))
    return examples


def practise_copying(backbone: Backbone, config: Config) -> None:
    """Repeat spans of random tokens, which sets the copying heads that the model starts with."""
    from agentq.training.branching import Branch, BranchingExample
    from agentq.training.settings import TrainingSettings
    from agentq.training.supervised import tune_backbone

    rng = random.Random(config.seed)
    span, spans = 8, 8
    for length in config.copying:
        count = config.copying_steps * config.token_budget // (length + span * spans)
        lessons: list[BranchingExample] = []
        for _ in range(count):
            text = tuple(rng.randrange(4, len(backbone.tokenizer)) for _ in range(length))
            starts = [rng.randrange(length - span + 1) for _ in range(spans)]
            # The first token says which span is meant, so only the others can be known.
            branches = tuple(Branch(text[i : i + span], (0.0,) + (1.0,) * (span - 1)) for i in starts)
            lessons.append(BranchingExample(text, branches))
        settings = TrainingSettings(
            steps=config.copying_steps, learning_rate=1e-3, warmup=10, schedule="constant", log_every=10
        )
        folder = config.output / f"copying-{length}"
        fit = tune_backbone(backbone, lessons, settings, folder, token_budget=config.token_budget, full=True)
        print(f"copying from {length} tokens: loss {fit.training.history[-1]['loss']:.2f}", flush=True)


def learn(backbone: Backbone, examples: Sequence[BranchingExample], config: Config) -> SupervisedFit:
    """Next-token cross entropy on the actions."""
    from agentq.training.settings import TrainingSettings
    from agentq.training.supervised import steps_per_epoch, tune_backbone

    stride = max(2, len(examples) // 400)
    held, fitting = examples[::stride], [e for i, e in enumerate(examples) if i % stride]
    settings = TrainingSettings(
        learning_rate=config.learning_rate, warmup=config.warmup, checkpoint_every=200, seed=config.seed
    )
    steps = config.epochs * steps_per_epoch(fitting, config.token_budget, settings)
    return tune_backbone(
        backbone,
        fitting,
        replace(settings, steps=steps),
        config.output / "training",
        token_budget=config.token_budget,
        validation=held,
        full=True,
    )


def validate(backbone: Backbone, config: Config) -> dict[str, float]:
    """Mean score and success of sampling and of greedy decoding on validation tasks."""
    from agentq.agent import Agent
    from agentq.policies.huggingface import HuggingFacePolicy
    from agentq.selectors.first import First
    from agentq_eval.rollouts import Episode, run_episodes
    from agentq_eval.running.deciders import AgentDecider

    learnt = benchmark(config)
    tasks = learnt.panel("validation").tasks[: config.validation_episodes]
    scores: dict[str, float] = {}
    for name, temperature in (("sampled", config.temperature), ("greedy", 0.0)):
        policy = HuggingFacePolicy(backbone, temperature=temperature, max_new_tokens=config.max_new_tokens)
        decider = AgentDecider(Agent(policy, First(), n=1, on_invalid="execute"))
        episodes = [Episode(task, 0) for task in tasks]
        played = list(run_episodes(learnt.make_env, episodes, decider))
        scores[f"{name} score"] = sum(p.score for p in played) / len(played)
        scores[f"{name} success"] = sum(p.success for p in played) / len(played)
    return scores


def record_stages(folder: Path, config: Config) -> None:
    """Write ``training.yaml``: the options of every stage that made this model, first to last."""
    before = config.start / "training.yaml" if config.start is not None else None
    stages = yaml.safe_load(before.read_text()) if before is not None and before.is_file() else []
    options = {name: value for name, value in to_dict(config).items() if name != "output"}
    (folder / "training.yaml").write_text(yaml.safe_dump([*stages, options], sort_keys=False))


def write_card(
    folder: Path, config: Config, fit: SupervisedFit, scores: dict[str, float], states: int
) -> None:
    """The model's card: what it is, data, command, seed and measured scores."""
    shape, measured = config.shape, "\n".join(f"- {name}: {value:.3f}" for name, value in scores.items())
    begun = "from an untrained model" if config.start is None else "from the model of an earlier stage"
    title = benchmark(config).title
    (folder / "README.md").write_text(
        f"""# A small policy for {title}

A Qwen3 causal LM with {shape.layers} layers of width {shape.hidden} and a vocabulary of {shape.vocabulary},
trained from scratch by `recipes/train_policy.py` to imitate players of mixed quality in {title}. It is made
for tests, demonstrations and comparisons of critics, not for use.

- Data: {config.sessions} scripted sessions and {config.openings} more first actions ({states} states,
  {config.draws} drawn actions each), options {json.dumps(config.data, default=str)}.
- Tasks: training tasks only; no validation or test task is among them.
- Training: {fit.training.steps} steps of {config.token_budget} tokens, learning rate {config.learning_rate},
  seed {config.seed}; held-out loss {fit.loss:.3f} nats per action token; {begun}.
- Command: `accelerate launch recipes/train_policy.py`; the options of every stage stand in `training.yaml`.

Measured on {min(config.validation_episodes, len(benchmark(config).panel("validation").tasks))} validation tasks, one
candidate per step, sampled at temperature {config.temperature}:

{measured}
"""
    )


if __name__ == "__main__":
    main()
