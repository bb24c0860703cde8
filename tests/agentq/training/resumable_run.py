"""Run as a script: small trainings that are killed (SIGKILL) at random moments and started again.

Arguments: seed, then for every training a working folder and a number of kills. Prints one JSON object a
training: kills that hit, digest of the weights and the optimiser's result, history. The child processes are
forked, so that imports are paid once.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agentq.training.loop import train
from agentq.training.settings import TrainingSettings
from agentq.training.sources import BlockShuffle

SETTINGS = TrainingSettings(
    steps=60, batch_size=4, gradient_accumulation=2, learning_rate=1e-2, warmup=5, checkpoint_every=3, keep=2,
    log_every=1, evaluate_every=10, tracker="none",
)  # fmt: skip


class Regression(nn.Module):
    """Noisy regression with dropout and a slow copy: everything that a resume has to restore."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.net = nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Dropout(0.2), nn.Linear(16, 1))
        self.slow = nn.Linear(16, 1).requires_grad_(False)

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        loss = (self.net(batch)[:, 0] - batch.sum(dim=1)).square().mean()
        return {"loss": loss}

    def after_step(self) -> None:
        last = self.net[3]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            slow: list[torch.Tensor] = [*self.slow.parameters()]
            fast: list[torch.Tensor] = [*last.parameters()]
            torch._foreach_lerp_(slow, fast, 0.1)  # pyright: ignore[reportPrivateImportUsage]


class Rows:
    """A stream over 50 rows, slow enough to be killed in the middle."""

    identity = "50 rows"

    def __init__(self, batch_size: int, pause: float = 0.0) -> None:
        generator = torch.Generator().manual_seed(1)
        self.rows = torch.randn(50, 6, generator=generator)
        self.order = BlockShuffle(50, seed=2, block=4, pool_blocks=5)
        self.batch_size, self.pause = batch_size, pause

    def batch(self, index: int) -> Tensor:
        time.sleep(self.pause)
        return self.rows[torch.from_numpy(self.order.rows(index * self.batch_size, self.batch_size))]

    def weight(self, batch: Tensor) -> float:
        return float(len(batch))

    def describe(self, index: int) -> str:
        return f"rows {self.order.rows(index * self.batch_size, self.batch_size).tolist()}"


def run(directory: Path, pause: float) -> dict[str, Any]:
    """Train to the end; everything that must not depend on interruptions."""
    module = Regression()
    result = train(
        module,
        Rows(SETTINGS.batch_size, pause),
        SETTINGS,
        directory,
        evaluate=lambda m: {"score": -float(sum(p.abs().sum() for p in m.parameters()))},
    )
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return {
        "weights": digest.hexdigest(),
        "history": result.history,
        "evaluations": result.evaluations,
        "best_step": result.best_step,
    }


def main(folder: Path, kills: int, seed: int) -> None:
    """Start, kill, start again, until the run ends by itself."""
    rng = random.Random(seed)
    hit, output = 0, folder / "result.json"
    while not output.exists():
        child = os.fork()
        if child == 0:
            output.with_suffix(".part").write_text(json.dumps(run(folder / "run", 0.003)))
            os.replace(output.with_suffix(".part"), output)
            os._exit(0)
        if hit < kills:
            time.sleep(rng.uniform(0.05, 0.8))
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        hit += int(os.WIFSIGNALED(status))
        if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status):
            raise SystemExit("the training failed by itself")
    print(json.dumps({"kills": hit, **json.loads(output.read_text())}))


if __name__ == "__main__":
    for place in range(2, len(sys.argv), 2):
        main(Path(sys.argv[place]), int(sys.argv[place + 1]), int(sys.argv[1]))
