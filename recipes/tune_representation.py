"""Fine-tune a copy of the policy's backbone on questions about actions, then freeze it for a critic.

The story (Digi-Q phase 1, for text): a model that imitates does not know how its actions end. Sessions are
replayed in the simulator, several actions of every state are tried from a snapshot, and the model learns to
answer, right behind each action and what it refers to: how well can this end, and whatever else the environment
asks (in a shop: what page follows, how much of what was asked for is there, was this asked for by name).
How much of the values' variance the model then explains on validation tasks is written into its card.

A second stage learns from what the policy itself proposes: with --log, the labelled candidates of logs take the
place of replayed sessions (or, with --mixed, come besides them), and every twentieth task is held out. A backbone
that has learnt what it can hold goes on with more layers (--layers), which at first change nothing.

    accelerate launch recipes/tune_representation.py --output runs/representation
    accelerate launch recipes/tune_representation.py --environment alfworld --backbone.name runs/household/model
    accelerate launch recipes/tune_representation.py --environment alfworld --backbone.name alfworld-critic \
        --log '[runs/alfworld/collected/round-0]'

The critic backbone of WebShop that `agentq_data` ships went through two such runs; its card names their data and
steps.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from agentq.backbones.config import BackboneConfig, Dtype
from agentq.backbones.tokens import ChatTokenizer
from agentq.config import load_config, to_yaml
from agentq.errors import ConfigError
from agentq_envs.benchmark import Benchmark, load_benchmark
from agentq_envs.session_parts import Part, in_processes, parts_of

if TYPE_CHECKING:
    from agentq.backbones import Backbone
    from agentq.training.branching import BranchingExample
    from agentq.training.supervised import SupervisedFit
    from agentq.types import FloatArray
    from agentq_envs.demonstrations import (
        Alternative,
        Demonstration,
        DemonstrationSettings,
        DemonstrationStep,
    )

    States: TypeAlias = list[tuple[str, DemonstrationStep]]  # each with its task


@dataclass(frozen=True)
class Config:
    """Options of this recipe."""

    output: Path = Path("runs/representation")  # receives model/ with its card, and checkpoints
    environment: str = "webshop"  # a folder of agentq_envs with a module `benchmark`, or module:Class
    data: dict[str, Any] = field(default_factory=dict[str, Any])  # fields of its Benchmark
    log: tuple[Path, ...] = ()  # labelled logs whose candidates are learnt, instead of replayed sessions
    mixed: bool = False  # with --log: learn replayed sessions besides, in one random order
    validation_log: tuple[Path, ...] = ()  # labelled logs to measure on; none: every twentieth task
    grounding: str = "agentq.features.grounding:quoted_line"  # text put behind an action; "": none
    backbone: BackboneConfig = field(default_factory=BackboneConfig)  # with lora: adapters, else all weights
    layers: int | None = None  # added to before tuning, up to this number (block expansion); none: as it is
    sessions: int = 4500  # replayed in all
    alternatives: int = 6  # distinct actions tried per state
    keep: float = 0.25  # share of the states that is learnt
    gamma: float = 0.9  # discount of values per step
    value_weight: float = 1.0  # in the loss, of the first answer behind an action; in logs of every answer
    question_weight: float = 0.2  # of each further answer
    epochs: int = 1
    token_budget: int = 4096  # padded tokens per optimiser step
    learning_rate: float = 1e-3
    warmup: int = 100  # optimiser steps
    validation_sessions: int = 100
    dtype: Dtype = "float32"  # of the file; what is measured is rounded to it
    workers: int = 1  # processes that replay sessions; the result does not depend on it
    seed: int = 100  # other sessions than those that the policy imitated


def main() -> None:
    """Replayed sessions -> answers behind actions -> tuning -> validation -> model folder with its card."""
    from agentq.backbones import load_backbone
    from agentq.backbones.block_expansion import expand_blocks

    config = load_config(Config)
    if config.validation_log and not config.log:
        raise ConfigError(
            "--validation_log is measured on where --log is learnt from. Give --log, or leave both out."
        )
    if config.mixed and not config.log:
        raise ConfigError("--mixed learns replayed sessions besides logs. Give --log, or leave it out.")
    config.output.mkdir(parents=True, exist_ok=True)
    (config.output / "config.yaml").write_text(to_yaml(config))

    began = time.time()
    backbone = load_backbone(config.backbone)
    if config.layers is not None:
        expand_blocks(backbone, config.layers)
    tokens = ChatTokenizer(backbone.tokenizer, "critic")
    examples, held = (logged if config.log else replayed)(config, tokens)
    if config.mixed:
        examples += replayed_examples(config, tokens)
    print(f"{len(examples)} states with tried actions after {time.time() - began:.0f} s", flush=True)

    before = explained(backbone, held, config)
    fit = learn(backbone, examples, config)
    folder = config.output / "model"
    backbone.save_pretrained(folder, config.dtype)
    (folder / "training.yaml").write_text(to_yaml(config))
    measured = {f"{name} before": value for name, value in before.items()} | explained(backbone, held, config)
    write_card(folder, config, fit, measured, len(examples))
    print(json.dumps(measured, indent=2), flush=True)


def replayed(config: Config, tokens: ChatTokenizer) -> tuple[list[BranchingExample], States]:
    """Examples of sessions on training tasks, and the states of sessions on validation tasks."""
    learnt = benchmark(config)
    tasks = learnt.panel("validation").tasks[: config.validation_sessions]
    held = list(states_of(learnt.replay(tasks, config.seed, demonstration_settings(config))))
    return replayed_examples(config, tokens), held


def replayed_examples(config: Config, tokens: ChatTokenizer) -> list[BranchingExample]:
    """Examples of sessions on training tasks."""
    parts = parts_of(config.sessions, config.seed)
    return list(in_processes(partial(answered, config, tokens), parts, config.workers))


def logged(config: Config, tokens: ChatTokenizer) -> tuple[list[BranchingExample], States]:
    """Examples of the logs, and the states that are measured: another log's, or every twentieth task's by its hash."""
    states = list(logged_states(config, config.log))
    if config.validation_log:
        measured = list(logged_states(config, config.validation_log))
        if not measured:
            names = ", ".join(map(str, config.validation_log))
            raise ConfigError(
                f"--validation_log {names} has no labelled states to measure on. Collect with labels."
            )
        return [example(tokens, step, logged_answers(step), config) for _, step in states], measured
    tasks = sorted({task for task, _ in states}, key=lambda task: hashlib.sha256(task.encode()).digest())
    if len(tasks) < 2:
        raise ConfigError(
            f"--log {', '.join(map(str, config.log))}: {len(states)} labelled states of {len(tasks)} tasks, expected "
            "at least two tasks, one to measure on. Collect more episodes, with labels."
        )
    kept = set(tasks[: max(1, len(tasks) // 20)])
    fitting = (step for task, step in states if task not in kept)
    return (
        [example(tokens, step, logged_answers(step), config) for step in fitting],
        [(task, step) for task, step in states if task in kept],
    )


def answered(config: Config, tokens: ChatTokenizer, part: Part) -> list[BranchingExample]:
    """An example for every kept state of the part's sessions, on tasks that may be learnt from."""
    learnt = benchmark(config)
    sessions = learnt.sessions(part.count, part.seed, demonstration_settings(config))
    found: list[BranchingExample] = []
    for task, step in states_of(sessions):
        answers = [[learnt.answers(task, tried, rng_of(step, tried))] for tried in step.alternatives]
        found.append(example(tokens, step, answers, config))
    return found


def logged_answers(step: DemonstrationStep) -> list[list[list[str]]]:
    """Per candidate its answers, each alone behind it: one must not be read off the other."""
    from agentq_envs.logged_demonstrations import answers_about

    found = [answers_about(step, tried, rng_of(step, tried)) for tried in step.alternatives]
    return [[[answer] for answer in answers] for answers in found]


def rng_of(step: DemonstrationStep, tried: Alternative) -> random.Random:
    """Random numbers of a state's action, the same in every process."""
    return random.Random(f"{step.messages} {tried.action}")


def logged_states(config: Config, logs: Sequence[Path]) -> Iterator[tuple[str, DemonstrationStep]]:
    """The kept states of logs."""
    from agentq.trajectories.reader import TrajectoryReader
    from agentq_envs.logged_demonstrations import logged_demonstrations

    for number, folder in enumerate(logs):
        yield from logged_demonstrations(TrajectoryReader(folder), config.keep, config.seed + number)


def states_of(sessions: Iterator[Demonstration]) -> Iterator[tuple[str, DemonstrationStep]]:
    """The steps of sessions, each with its task."""
    for session in sessions:
        for step in session.steps:
            yield session.task, step


def benchmark(config: Config) -> Benchmark:
    """The environment whose questions are answered."""
    return load_benchmark(config.environment, config.data)


def demonstration_settings(config: Config) -> DemonstrationSettings:
    """Several actions tried from the snapshot of each kept state."""
    from agentq_envs.demonstrations import DemonstrationSettings

    return DemonstrationSettings(1, config.alternatives, config.keep, gamma=config.gamma)


def example(
    tokens: ChatTokenizer, step: DemonstrationStep, answers: list[list[list[str]]], config: Config
) -> BranchingExample:
    """The prompt with branches per tried action: action and its line, then the answers that are learnt in turn."""
    from agentq.critics.groundings import grounded_text, resolve_grounding
    from agentq.training.branching import Branch, BranchingExample

    grounding = resolve_grounding(config.grounding)
    branches: list[Branch] = []
    for tried, asked in zip(step.alternatives, answers, strict=True):
        read = tokens.action_ids(grounded_text(step.messages, tried.action, grounding))
        for sequence in asked:
            ids, weights = list(read), [0.0] * len(read)
            for number, answer in enumerate(sequence):
                piece = tokens.tokenizer(answer, add_special_tokens=False)["input_ids"]
                ids += piece
                weights += [config.question_weight if number else config.value_weight] * len(piece)
            branches.append(Branch(tuple(ids), tuple(weights)))
    return BranchingExample(tuple(tokens.prompt_ids(step.messages)), tuple(branches))


def learn(backbone: Backbone, examples: Sequence[BranchingExample], config: Config) -> SupervisedFit:
    """Next-token cross entropy on the answers."""
    from agentq.training.settings import TrainingSettings
    from agentq.training.supervised import steps_per_epoch, tune_backbone

    stride = max(2, len(examples) // 300)
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
        full=config.backbone.lora is None,
    )


def explained(
    backbone: Backbone, states: Sequence[tuple[str, DemonstrationStep]], config: Config
) -> dict[str, float]:
    """How well the expected value digit fits the values of tried actions, overall and within states."""
    import numpy as np

    from agentq.training.critic_metrics import explained_variance, gap_closed, rank_correlation

    most = max(len(step.alternatives) for _, step in states)
    q, labels = np.full((len(states), most), -np.inf), np.full((len(states), most), np.nan)
    for row, (_, step) in enumerate(states):
        count = len(step.alternatives)
        q[row, :count] = expected_values(backbone, step, config)
        labels[row, :count] = [tried.value for tried in step.alternatives]
    known = ~np.isnan(labels)
    return {
        "explained variance": explained_variance(q[known], labels[known]),
        "rank correlation within states": rank_correlation(np.where(known, q, 0.0), labels),
        "gap closed within states": gap_closed(q, labels),
    }


def expected_values(backbone: Backbone, step: DemonstrationStep, config: Config) -> FloatArray:
    """(N,) mean of the predicted digit behind every tried action, as a value in [0, 1]."""
    import torch

    from agentq.critics.groundings import grounded_text, resolve_grounding
    from agentq.scoring.shared_prefix import score_features
    from agentq_envs.questions import VALUE_LEVELS

    grounding = resolve_grounding(config.grounding)
    texts = [grounded_text(step.messages, tried.action, grounding) for tried in step.alternatives]
    digits = [
        backbone.tokenizer(str(i), add_special_tokens=False)["input_ids"][0] for i in range(VALUE_LEVELS)
    ]
    with torch.no_grad():
        hidden = score_features(
            backbone,
            [backbone.prompt_ids(step.messages)],
            [[backbone.action_ids(t) for t in texts]],
            [-1],
            "last",
        )[0]
        model: Any = backbone.model
        logits = model.get_output_embeddings()(hidden)[:, digits].float()
    return (logits.softmax(-1).cpu() @ torch.linspace(0, 1, VALUE_LEVELS)).double().numpy()


def write_card(
    folder: Path, config: Config, fit: SupervisedFit, measured: dict[str, float], states: int
) -> None:
    """The model's card: what it is, data, command, seed and measured scores."""
    lines = "\n".join(f"- {name}: {value:.3f}" for name, value in measured.items())
    if config.log:
        source = f"candidates of a policy in {len(config.log)} labelled logs of training tasks, share {config.keep}"
        if config.mixed:
            source += f", and {config.sessions} replayed scripted sessions"
        held = "--validation_log" if config.validation_log else "every twentieth logged task"
    else:
        source = f"{config.sessions} replayed scripted sessions on training tasks, up to {config.alternatives} actions"
        source += f" a state with their values, gamma {config.gamma}"
        held = f"{config.validation_sessions} sessions of validation tasks"
    (folder / "README.md").write_text(
        f"""# A critic backbone for {benchmark(config).title}

`{config.backbone.name}` fine-tuned by `recipes/tune_representation.py` to answer questions about actions, so
that its frozen hidden states (last layer, last token of the action and what is put behind it)
carry how well the action ends. Value heads are trained on them by `recipes/train_qvalue.py`.

- Data: {source} ({states} states).
- Training: {fit.training.steps} steps of {config.token_budget} tokens, learning rate {config.learning_rate},
  seed {config.seed}; held-out loss {fit.loss:.3f} nats per answer token.
- Command: `accelerate launch recipes/tune_representation.py`; every option stands in `training.yaml`.

Measured on {held} (expected value digit against value):

{lines}
"""
    )


if __name__ == "__main__":
    main()
