"""On-policy training of a language model on questions whose answers can be checked.

Every iteration samples a group of answers to some questions, scores them, and takes a few optimiser steps on
them. What an iteration does depends on the weights, the optimiser and its number alone, so a run that is killed
and started again ends with the same weights, bit for bit (on the same machine).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from agentq.errors import ConfigError, TrainingError
from agentq.objectives.grpo import grpo_loss
from agentq.objectives.rover import (
    TokenStatistics,
    centred_rewards,
    rover_loss,
    standardised_rewards,
    token_statistics,
)

#: (number of the question, tokens of an answer without its end) -> reward.
Reward: TypeAlias = Callable[[int, Sequence[int]], float]
_WEIGHTS, _OPTIMIZER, _STATE = "model.safetensors", "optimizer.safetensors", "state.json"


@dataclass(frozen=True, slots=True)
class AnswerSettings:
    """One on-policy run."""

    method: Literal["rover", "grpo"] = "rover"
    iterations: int = 200
    questions: int = 64  # of an iteration
    samples: int = 8  # answers to each question
    minibatches: int = 8  # optimiser steps of an iteration; from the second on ROVER's next-value term acts
    learning_rate: float = 1e-4
    temperature: float = 1.0  # of sampling, and of all probabilities
    longest: int = 10  # tokens of an answer, its end included
    rho: float = 1.0  # rover: temperature of the values
    beta: float = 1.0  # rover: weight of the next value
    clip: float = 0.2  # grpo
    max_grad_norm: float = 1.0
    checkpoint_every: int = 20  # iterations
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in ("rover", "grpo"):
            raise ConfigError(f"method={self.method!r}: expected rover or grpo.")
        if self.questions * self.samples % self.minibatches:
            raise ConfigError(
                f"minibatches={self.minibatches} does not divide {self.questions} x {self.samples} answers."
            )


@dataclass(frozen=True, slots=True)
class Answers:
    """Sampled answers behind their prompts."""

    tokens: Tensor  # (B, P + T) prompt and answer; padding after the end
    mask: Tensor  # (B, T) 1 up to and including the end
    prompt: int  # P

    def texts(self, end: int) -> list[list[int]]:
        """Tokens of each answer, without the end."""
        rows: list[list[int]] = []
        for row, length in zip(
            self.tokens[:, self.prompt :].tolist(), self.mask.sum(dim=1).tolist(), strict=True
        ):
            kept = row[:length]
            rows.append(kept[:-1] if kept and kept[-1] == end else kept)
        return rows


@torch.no_grad()
def sample_answers(
    model: nn.Module,
    prompts: Tensor,
    end: int,
    *,
    longest: int,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
) -> Answers:
    """One sampled answer behind each prompt, (B, P) token ids of one length, up to ``longest`` tokens.

    What comes back is on the model's device. The draws are made on the device of ``generator``, so one of the CPU
    gives the same answers wherever the model is, up to the rounding of its arithmetic.
    """
    lm: Any = model
    device = next(model.parameters()).device
    drawing = device if generator is None else generator.device
    step = tokens = prompts.to(device)
    alive = torch.ones(len(prompts), dtype=torch.bool, device=device)
    mask: list[Tensor] = []
    cache: Any = None
    for _ in range(longest):
        output = lm(input_ids=step, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache = output.past_key_values
        probabilities = (output.logits[:, -1].float() / temperature).softmax(dim=-1)
        drawn = torch.multinomial(probabilities.to(drawing), 1, generator=generator)
        step = torch.where(alive.unsqueeze(1), drawn.to(device), end)
        mask.append(alive)
        tokens = torch.cat([tokens, step], dim=1)
        alive = alive & (step[:, 0] != end)
        if not bool(alive.any()):
            break
    return Answers(tokens, torch.stack(mask, dim=1).long(), prompts.shape[1])


def answer_statistics(model: nn.Module, answers: Answers, temperature: float) -> TokenStatistics:
    """Log-probability and mean log-softmax of every answer token, (B, T)."""
    lm: Any = model
    logits = lm(input_ids=answers.tokens, use_cache=False, logits_to_keep=answers.mask.shape[1] + 1).logits[
        :, :-1
    ]
    return token_statistics(logits.float(), answers.tokens[:, answers.prompt :], temperature)


def train_on_answers(
    model: nn.Module,
    prompts: Tensor,
    reward: Reward,
    end: int,
    settings: AnswerSettings,
    directory: Path | None = None,
    report: Callable[[dict[str, float]], None] | None = None,
) -> list[dict[str, float]]:
    """Train ``model`` in place; one record per iteration, those of an earlier part of the run included.

    ``prompts`` (Q, P) are all questions; an iteration draws some of them. A run found in ``directory`` is
    continued. Raises ``TrainingError`` for other settings than those of the run there, and when the loss is
    not finite.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.0)
    history: list[dict[str, float]] = []
    if directory is not None:
        history = _resume(directory, model, optimizer, settings)
    model.eval()  # no dropout: the probabilities that are sampled from are those that are trained
    for number in range(len(history), settings.iterations):
        record = {
            "iteration": float(number + 1),
            **_iterate(model, prompts, reward, end, settings, optimizer, number),
        }
        history.append(record)
        if report is not None:
            report(record)
        due = (number + 1) % settings.checkpoint_every == 0 or number + 1 == settings.iterations
        if directory is not None and due:
            _save(directory, model, optimizer, settings, history)
    return history


def _iterate(
    model: nn.Module,
    prompts: Tensor,
    reward: Reward,
    end: int,
    settings: AnswerSettings,
    optimizer: torch.optim.Optimizer,
    number: int,
) -> dict[str, float]:
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + number)
    asked = torch.randperm(len(prompts), generator=generator)[: settings.questions]
    groups = asked.repeat_interleave(settings.samples)
    answers = sample_answers(
        model,
        prompts[groups],
        end,
        longest=settings.longest,
        temperature=settings.temperature,
        generator=generator,
    )
    names = groups.tolist()
    scores = torch.tensor([reward(q, text) for q, text in zip(names, answers.texts(end), strict=True)])
    centre = centred_rewards if settings.method == "rover" else standardised_rewards
    centred = centre(scores, groups).to(answers.tokens.device)
    with torch.no_grad():
        old = answer_statistics(model, answers, settings.temperature)
    losses: list[float] = []
    for rows in torch.randperm(len(groups), generator=generator).chunk(settings.minibatches):
        part = Answers(answers.tokens[rows], answers.mask[rows], answers.prompt)
        new = answer_statistics(model, part, settings.temperature)
        before = TokenStatistics(old.log_prob[rows], old.mean_log_softmax[rows])
        loss = _loss(new, before, part.mask, centred[rows], settings)
        if not bool(torch.isfinite(loss)):
            raise TrainingError(f"iteration {number + 1}: the loss is {float(loss)}. Lower learning_rate.")
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
        optimizer.step()
        losses.append(loss.item())
    entropy = -(old.log_prob * answers.mask).sum() / answers.mask.sum()
    return {"reward": scores.mean().item(), "entropy": entropy.item(), "loss": sum(losses) / len(losses)}


def _loss(
    new: TokenStatistics, old: TokenStatistics, mask: Tensor, centred: Tensor, settings: AnswerSettings
) -> Tensor:
    if settings.method == "rover":
        return rover_loss(new, old, mask, centred, rho=settings.rho, beta=settings.beta).loss
    return grpo_loss(new.log_prob, old.log_prob, mask, centred, clip=settings.clip)


def _identity(settings: AnswerSettings) -> dict[str, Any]:
    """What must be the same when a run goes on; it may be made longer."""
    return {k: v for k, v in asdict(settings).items() if k not in ("iterations", "checkpoint_every")}


def _save(
    directory: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    settings: AnswerSettings,
    history: list[dict[str, float]],
) -> None:
    """Write a whole checkpoint aside, then rename it; the one before it is deleted last."""
    final, aside = directory / f"iteration_{len(history):06d}", directory / ".writing"
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        save_file({name: p.detach().clone() for name, p in model.named_parameters()}, aside / _WEIGHTS)
        state = optimizer.state_dict()["state"]
        save_file({f"{i}.{k}": v for i, entry in state.items() for k, v in entry.items()}, aside / _OPTIMIZER)
        (aside / _STATE).write_text(json.dumps({"settings": _identity(settings), "history": history}))
        shutil.rmtree(final, ignore_errors=True)
        os.replace(aside, final)
    except (OSError, SafetensorError) as error:
        raise TrainingError(f"{final}: cannot write the checkpoint ({error}). Free some space.") from error
    for older in sorted(directory.glob("iteration_*"))[:-1]:
        shutil.rmtree(older, ignore_errors=True)


def _resume(
    directory: Path, model: nn.Module, optimizer: torch.optim.Optimizer, settings: AnswerSettings
) -> list[dict[str, float]]:
    found = sorted(directory.glob("iteration_*"))
    if not found:
        return []
    state = json.loads((found[-1] / _STATE).read_text())
    for key, value in _identity(settings).items():
        if state["settings"].get(key) != value:
            raise TrainingError(
                f"the run in {directory} has {key}={state['settings'].get(key)!r}, this one {key}={value!r}, so it "
                "cannot be resumed. Use the same settings, or another directory."
            )
    weights = load_file(found[-1] / _WEIGHTS)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])
    entries: dict[int, dict[str, Tensor]] = {}
    for name, tensor in load_file(found[-1] / _OPTIMIZER).items():
        index, _, key = name.partition(".")
        entries.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": entries})
    return state["history"]
