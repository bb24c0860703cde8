"""How long, how fast and how reproducibly a loop trains."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from agentq.errors import ConfigError

#: Settings that change what is written, not what is learnt: free to differ when a run resumes.
FREE_TO_CHANGE = frozenset({"checkpoint_every", "keep", "tracker", "log_every", "progress"})
_SCHEDULES = ("constant", "linear", "cosine")


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """One training run; ``batch_size`` counts per process and micro-batch."""

    steps: int = 1000  # optimiser steps
    batch_size: int = 128  # rows of a micro-batch on one process
    gradient_accumulation: int = 1  # micro-batches per optimiser step
    learning_rate: float = 3e-4  # peak
    weight_decay: float = 0.01  # AdamW
    warmup: int = 0  # optimiser steps of linear warm-up
    schedule: Literal["constant", "linear", "cosine"] = "cosine"  # after the warm-up, to 0
    max_grad_norm: float = 1.0  # of the whole optimiser step; 0: no clipping
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    seed: int = 0
    checkpoint_every: int = 500  # optimiser steps; 0: only at the end
    keep: int = 2  # newest checkpoints kept
    tracker: str = "tensorboard"  # any tracker of accelerate, or none
    log_every: int = 10  # optimiser steps
    evaluate_every: int = 0  # optimiser steps between validations; 0: none
    patience: int = 0  # validations without improvement before stopping; 0: never stop early
    progress: bool = True  # progress bar with the time left, only on a terminal

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "gradient_accumulation", "keep", "log_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}: expected at least 1.")
        for name in (
            "weight_decay",
            "warmup",
            "max_grad_norm",
            "checkpoint_every",
            "evaluate_every",
            "patience",
        ):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}={getattr(self, name)}: expected 0 or more.")
        if not 0 < self.learning_rate < float("inf"):
            raise ConfigError(f"learning_rate={self.learning_rate}: expected a positive number, e.g. 3e-4.")
        for name, known in (("schedule", _SCHEDULES), ("mixed_precision", ("no", "bf16", "fp16"))):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name}={getattr(self, name)!r}: expected one of {', '.join(known)}.")

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of optimiser step ``step`` (from 0): a pure function, so it needs no state."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        share = (step - self.warmup) / max(1, self.steps - self.warmup)  # of the decay, in [0, 1)
        if self.schedule == "cosine":
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
        return self.learning_rate * (1 - share if self.schedule == "linear" else 1.0)
