"""Train a tiny language model to solve Countdown with ROVER and with GRPO, and compare accuracy and diversity.

    python recipes/train_rover.py                                      # offline, minutes on two cores
    python recipes/train_rover.py --config recipes/configs/rover_quick.yaml

The story: a Qwen3 of some 90,000 weights learns what answers look like from random solved problems; from that
same model each method goes on with the same questions, the reward being whether an answer is right; then all of
them answer held-out problems many times over, which gives pass@k and the number of different right answers.
Killed and started again, it goes on and ends with the same numbers.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from agentq.config import load_config, to_yaml
from agentq.training.answers import AnswerSettings
from agentq.training.settings import TrainingSettings
from agentq.training.sources import BlockShuffle
from agentq_data.countdown import CountdownSettings, Problem, answers, draw_problem, draw_problems, solves

if TYPE_CHECKING:
    from agentq.backbones import Backbone

METHODS = ("rover", "grpo")
FIRST = TrainingSettings(
    steps=500, batch_size=256, learning_rate=3e-3, warmup=20, schedule="linear", weight_decay=0.0,
    checkpoint_every=100, tracker="none",
)  # fmt: skip


@dataclass(frozen=True)
class ModelShape:
    """The model trained from scratch."""

    hidden: int = 64
    intermediate: int = 128
    layers: int = 2
    heads: int = 4
    head_dim: int = 16


@dataclass(frozen=True)
class Config:
    """Options of this recipe."""

    output: Path = Path("runs/rover")  # receives models, checkpoints and results.json
    methods: tuple[str, ...] = METHODS
    examples: int = 40_000  # random solved problems for the first model
    first: TrainingSettings = field(default_factory=lambda: FIRST)  # training of the first model
    train_problems: int = 4000
    test_problems: int = 200  # held out; none is among the others
    test_samples: int = 64  # answers to each
    passes: tuple[int, ...] = (1, 4, 16, 64)  # k of pass@k
    task: CountdownSettings = field(default_factory=CountdownSettings)
    shape: ModelShape = field(default_factory=ModelShape)
    training: AnswerSettings = field(default_factory=AnswerSettings)
    seed: int = 0


def main() -> None:
    """First model -> each method -> held-out problems -> results.json and a table."""
    config = load_config(Config)
    config.output.mkdir(parents=True, exist_ok=True)
    (config.output / "config.yaml").write_text(to_yaml(config))
    began = time.time()
    test = draw_problems(config.seed + 1, config.test_problems, config.task)
    train = draw_problems(config.seed, config.train_problems, config.task, without=test)

    backbone = first_model(config, test)
    print(f"first model after {time.time() - began:.0f} s", flush=True)
    results = {"first": judge(backbone, test, config)}
    start = {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}
    for method in config.methods:
        backbone.model.load_state_dict(start)
        improve(backbone, train, config, method)
        backbone.save_pretrained(config.output / method)
        results[method] = judge(backbone, test, config)
        print(f"{method} after {time.time() - began:.0f} s", flush=True)

    (config.output / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    names = list(results["first"])
    print("  ".join(["model".ljust(6), *names]))
    for model, figures in results.items():
        print("  ".join([model.ljust(6), *(f"{figures[name]:.3f}".rjust(len(name)) for name in names)]))


def tokenizer_of(task: CountdownSettings) -> Any:
    """One token per number and sign: what remains to be learnt is arithmetic."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    from agentq.backbones.tiny import END, PAD

    largest = max(task.largest, task.largest_target)
    words = [PAD, END, *map(str, range(largest + 1)), "+", "-", "*", "="]
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=PAD))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, pad_token=PAD, eos_token=END)
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
    return tokenizer


def first_model(config: Config, held_out: Sequence[Problem]) -> Backbone:
    """A model that knows the form of answers and some arithmetic, from random solved problems."""
    from agentq.backbones.tiny import TinySettings, new_backbone
    from agentq.training.loop import train

    shape, tokenizer = config.shape, tokenizer_of(config.task)
    settings = TinySettings(
        len(tokenizer), shape.hidden, shape.intermediate, shape.layers, shape.heads, shape.head_dim,
        max_length=64, seed=config.seed,
    )  # fmt: skip
    backbone = new_backbone(tokenizer, settings)
    backbone.model.requires_grad_(True)
    solved = SolvedProblems(tokenizer, config, set(held_out))
    fit = train(AnswerTokens(backbone.model, solved.prompt), solved, config.first, config.output / "first")
    print(f"{len(solved.rows)} solved problems: loss {fit.history[-1]['loss']:.2f} nats a token", flush=True)
    return backbone


class SolvedProblems:
    """Random problems with one answer each, all of one length: batches for the training loop."""

    def __init__(self, tokenizer: Any, config: Config, held_out: set[Problem]) -> None:
        rng = random.Random(f"examples {config.seed}")
        drawn = (draw_problem(rng, config.task) for _ in range(config.examples))
        rows = [
            [*tokenizer.encode(problem.prompt), *tokenizer.encode(answer), tokenizer.eos_token_id]
            for problem, answer in drawn
            if problem not in held_out
        ]
        self.rows = torch.tensor(rows)
        self.prompt = config.task.numbers + 2  # the numbers, "=", the target
        self.size = config.first.batch_size
        self.order = BlockShuffle(len(rows), config.seed)
        self.identity = (
            f"{config.task} {config.examples} examples, seed {config.seed}, batches of {self.size}"
        )

    def batch(self, index: int) -> Tensor:
        """(batch_size, tokens)."""
        return self.rows[torch.from_numpy(self.order.rows(index * self.size, self.size))]

    def weight(self, batch: Tensor) -> float:
        """Rows."""
        return float(len(batch))

    def describe(self, index: int) -> str:
        """Which problems a batch holds."""
        return f"problems {self.order.rows(index * self.size, self.size)[:8].tolist()}"


class AnswerTokens(nn.Module):
    """``forward(batch)`` -> {"loss"}: cross entropy of the tokens behind the prompt, nats."""

    def __init__(self, model: nn.Module, prompt: int) -> None:
        super().__init__()
        self.model, self.prompt = model, prompt

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        """``batch`` (B, tokens)."""
        logits = self.model(input_ids=batch, use_cache=False).logits[:, self.prompt - 1 : -1]
        return {"loss": nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, self.prompt :].flatten())}


def improve(backbone: Backbone, problems: Sequence[Problem], config: Config, method: str) -> None:
    """On-policy training by one method; resumes in its own folder."""
    from agentq.training.answers import train_on_answers

    settings = replace(config.training, method=method, seed=config.seed)  # pyright: ignore[reportArgumentType]
    folder = config.output / f"{method}-{digest(backbone)}"  # of the model that it starts from
    every = max(1, settings.iterations // 10)

    def report(record: dict[str, float]) -> None:
        if record["iteration"] % every == 0:
            figures = ", ".join(
                f"{name} {value:.3f}" for name, value in record.items() if name != "iteration"
            )
            print(f"{method} {record['iteration']:.0f}: {figures}", flush=True)

    end = backbone.tokenizer.eos_token_id
    train_on_answers(
        backbone.model,
        prompts_of(backbone, problems),
        partial(right, backbone, problems),
        end,
        settings,
        folder,
        report,
    )


def judge(backbone: Backbone, problems: Sequence[Problem], config: Config) -> dict[str, float]:
    """pass@k; among solved problems the share of all answers that was found; entropy of the right answers, nats."""
    from agentq.training.answers import sample_answers

    count, end = config.test_samples, backbone.tokenizer.eos_token_id
    generator = torch.Generator().manual_seed(config.seed)
    prompts = prompts_of(backbone, problems).repeat_interleave(count, dim=0)
    found: list[list[str]] = [[] for _ in problems]
    for number, rows in enumerate(prompts.split(count * 16)):
        sampled = sample_answers(
            backbone.model, rows, end, longest=config.training.longest, generator=generator,
            temperature=config.training.temperature,
        )  # fmt: skip
        for place, tokens in enumerate(sampled.texts(end), start=number * count * 16):
            found[place // count].append(str(backbone.tokenizer.decode(tokens)))
    good = [[text for text in texts if solves(p, text)] for p, texts in zip(problems, found, strict=True)]
    figures = {f"pass@{k}": mean(pass_at(k, count, len(texts)) for texts in good) for k in config.passes}
    solved = [(p, texts) for p, texts in zip(problems, good, strict=True) if texts]
    figures["distinct"] = mean(len(set(texts)) for _, texts in solved)
    figures["coverage"] = mean(len(set(texts)) / len(answers(p)) for p, texts in solved)
    figures["entropy"] = mean(entropy(texts) for _, texts in solved)
    return figures


def prompts_of(backbone: Backbone, problems: Sequence[Problem]) -> Tensor:
    """(Q, P) token ids: all prompts have the same length."""
    return torch.tensor([backbone.tokenizer.encode(problem.prompt) for problem in problems])


def right(backbone: Backbone, problems: Sequence[Problem], number: int, tokens: Sequence[int]) -> float:
    """1 for an answer that solves problem ``number``, else 0."""
    return float(solves(problems[number], str(backbone.tokenizer.decode(tokens))))


def pass_at(k: int, samples: int, good: int) -> float:
    """Chance that k of the samples, drawn without replacement, hold a right one ("Evaluating Large Language
    Models Trained on Code", arXiv 2107.03374, equation 1)."""
    return 1.0 - math.comb(samples - good, k) / math.comb(samples, k)


def entropy(texts: Sequence[str]) -> float:
    """Of the distribution of right answers to one problem, nats."""
    shares = [texts.count(text) / len(texts) for text in set(texts)]
    return -sum(share * math.log(share) for share in shares)


def mean(values: Any) -> float:
    """0 without any value."""
    listed = list(values)
    return sum(listed) / len(listed) if listed else 0.0


def digest(backbone: Backbone) -> str:
    """Eight hex digits of the weights."""
    content = hashlib.sha256()
    for name, tensor in sorted(backbone.model.state_dict().items()):
        content.update(name.encode() + tensor.cpu().numpy().tobytes())
    return content.hexdigest()[:8]


if __name__ == "__main__":
    main()
