"""Fine-tune or train a causal backbone on branching examples: imitation, and questions about actions."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from agentq.backbones.backbone import Backbone
from agentq.errors import TrainingError
from agentq.training.branching import (
    BranchingBatch,
    BranchingExample,
    branching_loss,
    collate,
    token_budget_batches,
)


@dataclass(frozen=True, slots=True)
class TuningSettings:
    """One pass or more over the examples, with a linear warm-up and a cosine to a tenth."""

    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warmup_steps: int = 100
    epochs: int = 1
    token_budget: int = 8192  # padded tokens per optimiser step
    max_grad_norm: float = 1.0
    minutes: float = 0.0  # 0: no limit; else the schedule ends after this wall-clock time
    log_every: int = 50
    seed: int = 0


@dataclass(frozen=True, slots=True)
class TuningResult:
    """What a tuning run did."""

    steps: int
    examples: int
    tokens: int
    seconds: float
    loss: float  # mean of the last tenth of the steps, nats per predicted token
    validation_loss: float | None


def tune(
    backbone: Backbone,
    examples: Sequence[BranchingExample],
    settings: TuningSettings,
    validation: Sequence[BranchingExample] = (),
    log: Path | None = None,
    report: Callable[[str], None] = print,
) -> TuningResult:
    """Train all parameters of ``backbone`` that require gradients; under the accelerate launcher in parallel.

    Raises ``TrainingError`` for no examples, or a loss that is not finite (names the step).
    """
    from accelerate import Accelerator

    if not examples:
        raise TrainingError("tuning got 0 examples; check the log or the demonstrations they are made from")
    accelerator = Accelerator()
    model: Any = backbone.model
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise TrainingError("no parameter of the backbone requires gradients; call requires_grad_() or use LoRA")
    optimiser = torch.optim.AdamW(
        parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, betas=(0.9, 0.98)
    )
    model, optimiser = accelerator.prepare(model, optimiser)
    plan = _plan(examples, settings, accelerator.process_index, accelerator.num_processes)
    started = time.perf_counter()
    losses: list[float] = []
    tokens = used = 0
    with (log.open("a") if log else _Nowhere()) as out:
        for step, indices in enumerate(plan):
            progress = _progress(step, len(plan), time.perf_counter() - started, settings)
            if progress >= 1.0:
                break
            rate = settings.learning_rate * _schedule(step, progress, settings)
            for group in optimiser.param_groups:
                group["lr"] = rate
            batch = collate([examples[i] for i in indices], backbone.pad_id).to(accelerator.device)
            loss = _step(accelerator, model, optimiser, parameters, batch, settings)
            if not math.isfinite(loss):
                raise TrainingError(
                    f"step {step}: loss is {loss}. Lower learning_rate ({settings.learning_rate}) or check the inputs."
                )
            losses.append(loss)
            tokens += batch.input_ids.numel()
            used += len(indices)
            if step % settings.log_every == 0:
                recent = sum(losses[-settings.log_every :]) / len(losses[-settings.log_every :])
                seconds = time.perf_counter() - started
                line = {"step": step, "of": len(plan), "loss": round(recent, 4), "lr": rate, "seconds": seconds}
                out.write(json.dumps(line) + "\n")
                out.flush()
                report(f"step {step}/{len(plan)} loss {recent:.3f} {tokens / seconds:.0f} tokens/s")
    backbone.model = accelerator.unwrap_model(model)
    backbone.model.eval()
    tail = losses[-max(1, len(losses) // 10) :]
    return TuningResult(
        steps=len(losses),
        examples=used,
        tokens=tokens,
        seconds=time.perf_counter() - started,
        loss=sum(tail) / max(1, len(tail)),
        validation_loss=evaluate_loss(backbone, validation, settings.token_budget) if validation else None,
    )


def evaluate_loss(backbone: Backbone, examples: Sequence[BranchingExample], token_budget: int) -> float:
    """Weighted mean cross entropy over all predicted tokens, nats."""
    total = weight = 0.0
    with torch.inference_mode():
        for indices in token_budget_batches([e.length for e in examples], token_budget, seed=0):
            batch = collate([examples[i] for i in indices], backbone.pad_id).to(backbone.device)
            loss, _ = branching_loss(backbone.model, batch)
            mass = float(batch.weight.sum())
            total += float(loss) * mass
            weight += mass
    return total / weight


def _step(
    accelerator: Any, model: Any, optimiser: Any, parameters: list[Any], batch: BranchingBatch, settings: TuningSettings
) -> float:
    optimiser.zero_grad(set_to_none=True)
    loss, _ = branching_loss(accelerator.unwrap_model(model), batch)
    accelerator.backward(loss)
    if accelerator.num_processes > 1:  # the model's own forward is bypassed, so gradients are averaged here
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad = accelerator.reduce(parameter.grad, reduction="mean")
    accelerator.clip_grad_norm_(parameters, settings.max_grad_norm)
    optimiser.step()
    return float(loss.detach())


def _plan(
    examples: Sequence[BranchingExample], settings: TuningSettings, rank: int, world: int
) -> list[list[int]]:
    lengths = [example.length for example in examples]
    batches: list[list[int]] = []
    for epoch in range(settings.epochs):
        of_epoch = token_budget_batches(lengths, settings.token_budget, settings.seed + epoch)
        usable = len(of_epoch) - len(of_epoch) % world  # every process takes the same number of steps
        batches.extend(of_epoch[rank:usable:world] if usable else of_epoch)
    return batches


def _progress(step: int, steps: int, seconds: float, settings: TuningSettings) -> float:
    """Share of the run that is over, by steps or by time, whichever is further."""
    by_time = seconds / (60 * settings.minutes) if settings.minutes else 0.0
    return max(step / steps, by_time)


def _schedule(step: int, progress: float, settings: TuningSettings) -> float:
    warm = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    return warm * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * progress)))


class _Nowhere:
    """A log that keeps nothing."""

    def __enter__(self) -> _Nowhere:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def write(self, text: str) -> int:
        """Drop the text."""
        return len(text)

    def flush(self) -> None:
        """Nothing to flush."""
