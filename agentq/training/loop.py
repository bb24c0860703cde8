"""The training loop of critics and policies: accelerate's processes, our batches, exact resumption.

The module's ``forward(batch)`` returns a dict of scalars with "loss" in it, so that DDP, FSDP and
DeepSpeed see an ordinary forward. A module may have ``after_step()`` (target networks) and
``frozen_prefixes`` (names of weights that are loaded from elsewhere, see ``checkpoints``).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import GradientAccumulationPlugin, ProjectConfiguration
from torch import Tensor, nn

from agentq.errors import ConfigError, TrainingError
from agentq.training import checkpoints, progress
from agentq.training.settings import FREE_TO_CHANGE, TrainingSettings
from agentq.training.sources import BatchSource

Evaluate = Callable[[nn.Module], Mapping[str, float]]
#: Parameters whose name ends like this get no weight decay.
_NO_DECAY = ("bias", "biases", "gains", "shifts", "norm.weight", "layernorm.weight")


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What a run did; the trained weights are in the module that was handed over."""

    steps: int  # optimiser steps done, earlier parts of a resumed run included
    history: tuple[dict[str, float], ...]  # one record per `log_every` steps
    evaluations: tuple[dict[str, float], ...]  # one record per validation
    best_step: int | None  # whose weights the module holds now; None: the last
    resumed_from: int  # 0: started new
    stopped_early: bool
    seconds: float  # of this process


def make_accelerator(settings: TrainingSettings, directory: Path | None = None) -> Accelerator:
    """An accelerator for these settings, under whatever launcher started the process."""
    state = AcceleratorState._shared_state  # accelerate keeps one per process and refuses another precision
    if state and state.get("_mixed_precision") != settings.mixed_precision:
        AcceleratorState._reset_state()
    plugin = GradientAccumulationPlugin(
        num_steps=settings.gradient_accumulation, adjust_scheduler=False, sync_with_dataloader=False
    )
    trackers: list[Any] = [*progress.tracker_names(settings, directory)]
    where = None if directory is None else ProjectConfiguration(str(directory), str(directory / "logs"))
    try:
        accelerator = Accelerator(
            mixed_precision=settings.mixed_precision,
            gradient_accumulation_plugin=plugin,
            log_with=trackers or None,
            project_config=where,
        )
    except ValueError as error:
        raise ConfigError(f"mixed_precision={settings.mixed_precision!r}: {error}") from error
    deepspeed = accelerator.state.deepspeed_plugin if accelerator.distributed_type == "DEEPSPEED" else None
    if deepspeed is not None:  # without a DataLoader accelerate cannot infer it
        deepspeed.deepspeed_config["train_micro_batch_size_per_gpu"] = settings.batch_size
    return accelerator


def train(
    module: nn.Module,
    source: BatchSource,
    settings: TrainingSettings,
    directory: Path | None = None,
    *,
    evaluate: Evaluate | None = None,
    monitor: str = "score",
    name: str = "training",
) -> TrainingResult:
    """Train ``module`` in place for ``settings.steps`` optimiser steps.

    With a ``directory`` it holds checkpoints and tracker files, and a run found there is continued: the
    result is bit for bit that of an uninterrupted run. ``evaluate`` returns metrics, higher
    ``metrics[monitor]`` is better; the module ends with the best weights.
    Raises ``TrainingError``: loss not finite (names step and batch), settings or data other than those
    of the run in ``directory``, checkpoint not writable.
    """
    began = time.perf_counter()
    accelerator = make_accelerator(settings, directory)
    devices = [accelerator.device] if accelerator.device.type != "cpu" else []
    with torch.random.fork_rng(devices=devices, device_type=accelerator.device.type if devices else "cuda"):
        torch.manual_seed(settings.seed + accelerator.process_index)  # dropout differs between processes
        run = _Run(accelerator, module, source, settings, directory, evaluate, monitor)
        progress.start_trackers(accelerator, name, settings)
        with checkpoints.only_learned(accelerator, module):
            run.resume()
            resumed_from = run.step
            with progress.bar(name, settings.steps, run.step, settings.progress) as show:
                run.loop(show)
        for tracker in accelerator.trackers:  # end_training() would also end the process group
            tracker.finish()
    return TrainingResult(
        steps=run.step,
        history=tuple(run.history),
        evaluations=tuple(run.evaluations),
        best_step=run.finish(),
        resumed_from=resumed_from,
        stopped_early=run.stopped,
        seconds=time.perf_counter() - began,
    )


class _Run:
    """One run: what is prepared, and how far it has come."""

    def __init__(
        self,
        accelerator: Accelerator,
        module: nn.Module,
        source: BatchSource,
        settings: TrainingSettings,
        directory: Path | None,
        evaluate: Evaluate | None,
        monitor: str,
    ) -> None:
        self.accelerator, self.settings, self.source = accelerator, settings, source
        self.directory, self.evaluate, self.monitor = directory, evaluate, monitor
        self.module = module
        model, optimizer = accelerator.prepare(module, make_optimizer(module, settings))
        self.model: nn.Module = model
        self.optimizer: Any = optimizer
        self.step = 0
        self.history: list[dict[str, float]] = []
        self.evaluations: list[dict[str, float]] = []
        self.best: dict[str, Tensor] | None = None
        self.best_step: int | None = None
        self.stopped = False
        self.pending: dict[str, float] = {}  # sums since the last history record

    def loop(self, show: progress.Bar) -> None:
        settings = self.settings
        self.model.train()
        while self.step < settings.steps and not self.stopped:
            record = self._optimise()
            self.step += 1
            self._log(record)
            if settings.evaluate_every and self.step % settings.evaluate_every == 0:
                self._validate()
            due = settings.checkpoint_every and self.step % settings.checkpoint_every == 0
            if due or self.step == settings.steps or self.stopped:
                self._save()
            show(self.step, f"loss {record['loss']:.4f}")

    def _optimise(self) -> dict[str, float]:
        """One optimiser step; the record holds means over all its micro-batches and processes."""
        accelerator, settings = self.accelerator, self.settings
        first = self.step * settings.gradient_accumulation
        indices: list[int] = [
            (first + i) * accelerator.num_processes + accelerator.process_index
            for i in range(settings.gradient_accumulation)
        ]
        batches = [self.source.batch(index) for index in indices]
        shares = self._shares([self.source.weight(batch) for batch in batches])
        rate = settings.learning_rate_at(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        sums: dict[str, Tensor] = {}
        losses: list[Tensor] = []
        for batch, share in zip(batches, shares, strict=True):
            with accelerator.accumulate(self.model):
                outputs: dict[str, Tensor] = self.model(_to(batch, accelerator.device))
                # backward() divides by the accumulation steps, DDP by the number of processes.
                scale = share * settings.gradient_accumulation * accelerator.num_processes
                accelerator.backward(outputs["loss"] * scale)
            losses.append(outputs["loss"].detach().float())
            for key, value in outputs.items():
                part = value.detach().float() * share
                sums[key] = sums[key] + part if key in sums else part
        record = self._reduced(sums)
        if not math.isfinite(record["loss"]):
            self._complain(losses, indices)
        record.update(self._apply(), learning_rate=rate)
        return record

    def _apply(self) -> dict[str, float]:
        accelerator, extra = self.accelerator, dict[str, float]()
        if self.settings.max_grad_norm:
            norm = accelerator.clip_grad_norm_(self.model.parameters(), self.settings.max_grad_norm)
            extra["grad_norm"] = float(norm) if norm is not None else float("nan")
            # fp16: an overflow is the gradient scaler's to handle, it skips the step
            if not math.isfinite(extra["grad_norm"]) and norm is not None and accelerator.scaler is None:
                raise TrainingError(
                    f"step {self.step}: the loss is finite but the gradient norm is {extra['grad_norm']}. "
                    "Lower learning_rate, or look for infinite features (float16 overflows at 65504)."
                )
        self.optimizer.step()
        self.optimizer.zero_grad()
        after = getattr(self.module, "after_step", None)
        if after is not None:
            after()
        return extra

    def _shares(self, weights: list[float]) -> list[float]:
        """Each micro-batch's share of all units of this optimiser step; they sum to 1 over processes."""
        total = self._summed([sum(weights)])[0]
        return [weight / total for weight in weights]

    def _reduced(self, sums: dict[str, Tensor]) -> dict[str, float]:
        names = sorted(sums)
        return dict(zip(names, self._summed(torch.stack([sums[n] for n in names]).tolist()), strict=True))

    def _summed(self, values: list[float]) -> list[float]:
        """Sums over processes; NaN on one is NaN on all, so that all stop together."""
        if self.accelerator.num_processes == 1:
            return values
        exact = torch.float64 if self.accelerator.device.type == "cpu" else torch.float32
        local = torch.tensor(values, dtype=exact, device=self.accelerator.device)
        everyone: Any = self.accelerator.reduce(local, "sum")
        return everyone.tolist()

    def _complain(self, losses: list[Tensor], indices: list[int]) -> None:
        bad = [(i, float(loss)) for i, loss in zip(indices, losses, strict=True) if not torch.isfinite(loss)]
        if not bad:
            raise TrainingError(
                f"step {self.step}: the loss of another process is not finite; see its message."
            )
        index, loss = bad[0]
        raise TrainingError(
            f"step {self.step}: the loss is {loss} on micro-batch {index} ({self.source.describe(index)}). "
            "Check these rows' features and targets for NaN or infinity, or lower learning_rate."
        )

    def _log(self, record: dict[str, float]) -> None:
        for key, value in record.items():
            self.pending[key] = self.pending.get(key, 0.0) + value
        self.pending["count"] = self.pending.get("count", 0.0) + 1
        if self.step % self.settings.log_every and self.step != self.settings.steps:
            return
        count = self.pending.pop("count")
        means = {key: value / count for key, value in self.pending.items()}
        self.pending = {}
        self.history.append({"step": float(self.step), **means})
        self.accelerator.log(means, step=self.step)

    def _validate(self) -> None:
        if self.evaluate is None:
            raise ConfigError(
                f"evaluate_every={self.settings.evaluate_every}, but there is nothing to evaluate on."
            )
        module = self.accelerator.unwrap_model(self.model)
        module.eval()
        with torch.no_grad():
            metrics = {key: float(value) for key, value in self.evaluate(module).items()}
        module.train()
        if self.monitor not in metrics:
            raise ConfigError(
                f"monitor={self.monitor!r} is no metric; there are {', '.join(sorted(metrics))}."
            )
        if not math.isfinite(metrics[self.monitor]):
            raise TrainingError(
                f"step {self.step}: validation metric {self.monitor} is {metrics[self.monitor]}."
            )
        self.evaluations.append({"step": float(self.step), **metrics})
        self.accelerator.log({f"validation/{k}": v for k, v in metrics.items()}, step=self.step)
        values = [record[self.monitor] for record in self.evaluations]
        if values[-1] > max(values[:-1], default=-math.inf):
            self.best, self.best_step = self._weights(), self.step
        since_best = len(values) - 1 - values.index(max(values))
        self.stopped = bool(self.settings.patience) and since_best >= self.settings.patience

    def _weights(self) -> dict[str, Tensor]:
        frozen = checkpoints.frozen_names(self.module)
        state: dict[str, Any] = self.accelerator.get_state_dict(self.model)
        return {name: tensor.detach().cpu().clone() for name, tensor in state.items() if name not in frozen}

    def finish(self) -> int | None:
        """Put the best weights into the caller's module; returns their step."""
        # Mixed precision wraps forward(); the caller gets the module back as it was.
        module = self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        if self.best is not None:
            module.load_state_dict(self.best, strict=False)
        module.eval()
        return self.best_step

    def _identity(self) -> dict[str, Any]:
        fixed = {k: v for k, v in asdict(self.settings).items() if k not in FREE_TO_CHANGE}
        return {**fixed, "data": self.source.identity, "processes": self.accelerator.num_processes}

    def _save(self) -> None:
        if self.directory is None:
            return
        state = {
            "step": self.step,
            "identity": self._identity(),
            "history": self.history,
            "evaluations": self.evaluations,
            "best_step": self.best_step,
            "stopped": self.stopped,
            "pending": self.pending,
        }
        checkpoints.save(self.accelerator, self.directory, state, self.best, self.settings.keep)

    def resume(self) -> None:
        """Continue the run in ``directory``, if there is one."""
        folder = None if self.directory is None else checkpoints.newest(self.directory)
        if folder is None:
            return
        earlier = checkpoints.read_state(folder)["identity"]
        for key, value in self._identity().items():
            if earlier.get(key) != value:
                raise TrainingError(
                    f"the run in {self.directory} has {key}={earlier.get(key)!r}, this one {key}={value!r}, "
                    "so it cannot be resumed. Use the same settings and data, or another directory."
                )
        state, self.best = checkpoints.load(self.accelerator, folder, self.module)
        self.step, self.history = state["step"], state["history"]
        self.evaluations, self.best_step = state["evaluations"], state["best_step"]
        self.stopped, self.pending = state["stopped"], state["pending"]


def make_optimizer(module: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """AdamW over the trainable weights, no decay on biases and norms.

    ``module.rate_scales`` (prefix of names -> factor) slows parts down, e.g. a backbone below new heads.
    """
    scales: dict[str, float] = getattr(module, "rate_scales", {})
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            scale = next((factor for prefix, factor in scales.items() if name.startswith(prefix)), 1.0)
            decay = settings.weight_decay if _decayed(name) else 0.0
            groups.setdefault((scale, decay), []).append(parameter)
    if not groups:
        raise TrainingError("no parameter is trainable. Attach LoRA adapters or unfreeze the model.")
    listed = [{"params": p, "weight_decay": decay, "scale": scale} for (scale, decay), p in groups.items()]
    return torch.optim.AdamW(listed, lr=settings.learning_rate, fused=True)


def _decayed(name: str) -> bool:
    parts = name.lower()
    stem = parts.rstrip("0123456789").rstrip(".")  # weights of a ParameterList end in their number
    return not stem.endswith(_NO_DECAY)


def _to(batch: Any, device: torch.device) -> Any:
    return batch.to(device) if hasattr(batch, "to") else batch
