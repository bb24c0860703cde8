from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from agentq.errors import ConfigError, MissingExtraError, TrainingError
from agentq.training import checkpoints
from agentq.training.loop import train
from agentq.training.settings import TrainingSettings

SCRIPT = Path(__file__).with_name("resumable_run.py")
_spec = spec_from_file_location("resumable_run", SCRIPT)
assert _spec is not None
assert _spec.loader is not None
resumable: Any = module_from_spec(_spec)
_spec.loader.exec_module(resumable)

SETTINGS: TrainingSettings = resumable.SETTINGS
Rows, Regression, run = resumable.Rows, resumable.Regression, resumable.run


class Plain(nn.Module):
    """Linear regression without anything random."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.net = nn.Linear(6, 1)

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        return {"loss": (self.net(batch)[:, 0] - batch.sum(dim=1)).square().mean()}


def trained(settings: TrainingSettings, batch_size: int, directory: Path | None = None) -> tuple[Plain, Any]:
    module = Plain()
    return module, train(module, Rows(batch_size), settings, directory)


def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    """Real SIGKILL at random moments, also while a checkpoint is written."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    words = [sys.executable, str(SCRIPT), "7"]
    for name, kills in (("whole", 0), ("killed", 4)):
        (tmp_path / name).mkdir()
        words += [str(tmp_path / name), str(kills)]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    whole, killed = (json.loads(line) for line in done.stdout.splitlines()[-2:])
    assert killed.pop("kills") == 4
    assert whole.pop("kills") == 0
    assert len(whole["history"]) == SETTINGS.steps
    assert killed == whole  # bit for bit: JSON keeps every digit of a double


def test_newest_checkpoints_are_kept_and_a_finished_run_is_only_loaded(tmp_path: Path) -> None:
    reference = run(tmp_path / "reference", 0.0)
    kept = sorted(p.name for p in (tmp_path / "reference").glob("step_*"))
    assert kept == ["step_00000057", "step_00000060"]
    again = run(tmp_path / "reference", 0.0)  # a finished run is only loaded
    assert again == reference


@pytest.mark.parametrize(("batch_size", "accumulation"), [(8, 2), (4, 4), (1, 16)])
def test_accumulation_equals_one_large_batch(batch_size: int, accumulation: int) -> None:
    settings = TrainingSettings(steps=30, batch_size=16, learning_rate=0.05, max_grad_norm=0.5, log_every=1)
    whole, reference = trained(settings, 16)
    parts, result = trained(
        replace(settings, batch_size=batch_size, gradient_accumulation=accumulation), batch_size
    )
    for key in ("loss", "grad_norm", "learning_rate"):
        np.testing.assert_allclose(
            [record[key] for record in result.history],
            [record[key] for record in reference.history],
            rtol=2e-5,
        )
    torch.testing.assert_close(parts.net.weight, whole.net.weight, rtol=1e-5, atol=1e-6)
    assert reference.history[0]["loss"] != pytest.approx(reference.history[-1]["loss"])


def _two_processes(folder: str) -> None:
    settings = TrainingSettings(steps=20, batch_size=8, learning_rate=0.05, max_grad_norm=0.5, log_every=1)
    torch.set_num_threads(1)
    trained(replace(settings, steps=2), 8)  # a recipe trains more than once in a process
    module, result = trained(settings, 8, Path(folder) / "run")
    if torch.distributed.get_rank() == 0:
        content = {"weight": module.net.weight.tolist(), "history": result.history}
        (Path(folder) / "result.json").write_text(json.dumps(content))


def test_two_processes_equal_one(tmp_path: Path) -> None:
    """2 processes x batch 8 = 1 process x batch 16: losses, gradient norms, weights; one checkpoint."""
    from accelerate import debug_launcher
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    debug_launcher(_two_processes, (str(tmp_path),), num_processes=2)
    result = json.loads((tmp_path / "result.json").read_text())
    settings = TrainingSettings(steps=20, batch_size=16, learning_rate=0.05, max_grad_norm=0.5, log_every=1)
    module, reference = trained(settings, 16)
    for key in ("loss", "grad_norm"):
        np.testing.assert_allclose(
            [record[key] for record in result["history"]],
            [record[key] for record in reference.history],
            rtol=2e-5,
        )
    torch.testing.assert_close(
        torch.tensor(result["weight"]), module.net.weight.detach(), rtol=1e-5, atol=1e-6
    )
    assert [p.name for p in (tmp_path / "run").glob("step_*")] == ["step_00000020"]
    assert checkpoints.read_state(tmp_path / "run" / "step_00000020")["identity"]["processes"] == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.02}, "has learning_rate=0.01, this one learning_rate=0.02"),
        ({"batch_size": 5}, "has batch_size=4, this one batch_size=5"),
        ({"steps": 61}, "has steps=60, this one steps=61"),
    ],
)
def test_resume_with_other_settings_names_the_key(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    run(tmp_path, 0.0)
    with pytest.raises(TrainingError, match=message):
        train(Regression(), Rows(4), replace(SETTINGS, **change), tmp_path)
    other = Rows(4)
    other.identity = "51 rows"
    with pytest.raises(TrainingError, match="data='50 rows', this one data='51 rows'"):
        train(Regression(), other, SETTINGS, tmp_path)
    free = replace(SETTINGS, checkpoint_every=50, log_every=7, keep=5)
    assert train(Regression(), Rows(4), free, tmp_path).resumed_from == 60


def test_loss_that_is_not_finite_names_step_and_rows() -> None:
    source = Rows(4)
    source.rows[17] = float("nan")
    index = next(i for i in range(20) if 17 in source.order.rows(4 * i, 4))
    settings = TrainingSettings(steps=20, batch_size=4)
    with pytest.raises(
        TrainingError, match=rf"step {index}: the loss is nan on micro-batch {index} \(rows .*17.*\)"
    ):
        train(Plain(), source, settings)


def test_gradient_that_is_not_finite_is_named() -> None:
    class Rooted(Plain):
        def forward(self, batch: Tensor) -> dict[str, Tensor]:
            return {"loss": (self.net(batch) * 0).abs().sqrt().sum()}

    with pytest.raises(TrainingError, match="step 0: the loss is finite but the gradient norm is nan"):
        train(Rooted(), Rows(4), TrainingSettings(steps=2))


def test_no_space_for_a_checkpoint_keeps_the_one_before(tmp_path: Path) -> None:
    """A file size limit makes the operating system refuse the write, as a full disk does."""
    first = replace(SETTINGS, checkpoint_every=20)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    class Limited(Rows):  # type: ignore[misc, valid-type]
        def batch(self, index: int) -> Tensor:
            if index == 50:  # after the checkpoint of step 20
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
            return super().batch(index)

    try:
        with pytest.raises(
            TrainingError, match=r"step_00000040 could not be written: .* MiB free on that disk"
        ):
            train(Regression(), Limited(4), replace(first, evaluate_every=0), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [p.name for p in tmp_path.iterdir() if p.name != "logs"] == ["step_00000020"]
    result = train(Regression(), Rows(4), replace(first, evaluate_every=0), tmp_path)
    assert result.resumed_from == 20
    assert result.steps == 60


@pytest.mark.parametrize("name", ["state.json", "model.safetensors", "optimizer.bin"])
def test_broken_checkpoint_says_what_to_delete(tmp_path: Path, name: str) -> None:
    run(tmp_path, 0.0)
    path = tmp_path / "step_00000060" / name
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(TrainingError, match=r"step_00000060.*Delete"):
        run(tmp_path, 0.0)


def test_newer_checkpoint_is_refused(tmp_path: Path) -> None:
    run(tmp_path, 0.0)
    path = tmp_path / "step_00000060" / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 9}))
    with pytest.raises(TrainingError, match="has format 9, this version reads up to 1"):
        run(tmp_path, 0.0)


def test_best_weights_and_early_stop() -> None:
    scores = iter([1.0, 3.0, 2.0, 2.5, 9.0])
    seen: list[Tensor] = []

    def evaluate(module: nn.Module) -> dict[str, float]:
        assert not module.training
        seen.append(module.net.weight.detach().clone())  # type: ignore[union-attr, operator]
        return {"score": next(scores)}

    module = Plain()
    settings = TrainingSettings(steps=100, batch_size=4, evaluate_every=5, patience=2)
    result = train(module, Rows(4), settings, evaluate=evaluate)
    assert (result.best_step, result.steps, result.stopped_early) == (10, 20, True)
    assert torch.equal(module.net.weight, seen[1])
    assert not torch.equal(seen[1], seen[3])
    with pytest.raises(ConfigError, match="monitor='nothing' is no metric; there are score"):
        train(Plain(), Rows(4), settings, evaluate=lambda m: {"score": 1.0}, monitor="nothing")


def test_frozen_weights_are_left_out_of_checkpoints(tmp_path: Path) -> None:
    class Tuned(Plain):
        frozen_prefixes = ("base.",)

        def __init__(self) -> None:
            super().__init__()
            self.base = nn.Linear(6, 6).requires_grad_(False)

        def forward(self, batch: Tensor) -> dict[str, Tensor]:
            return {"loss": self.net(self.base(batch)).square().mean()}

    settings = TrainingSettings(steps=6, batch_size=4, checkpoint_every=2, log_every=1, tracker="none")
    whole = train(Tuned(), Rows(4), settings, tmp_path)
    from safetensors.torch import load_file

    assert set(load_file(tmp_path / "step_00000006" / "model.safetensors")) == {"net.weight", "net.bias"}
    for name in ("step_00000006",):
        (tmp_path / name).rename(tmp_path / f"old_{name}")
    again = train(Tuned(), Rows(4), settings, tmp_path)
    assert again.resumed_from == 4
    assert again.history == whole.history


def test_bfloat16_trains_and_gives_the_module_back_unwrapped() -> None:
    settings = TrainingSettings(
        steps=40, batch_size=8, learning_rate=0.05, mixed_precision="bf16", log_every=1
    )
    module, result = trained(settings, 8)
    assert result.history[-1]["loss"] < result.history[0]["loss"] / 2
    assert module.net.weight.dtype == torch.float32
    assert module.net(torch.zeros(1, 6)).dtype == torch.float32
    exact, reference = trained(replace(settings, mixed_precision="no"), 8)
    assert reference.history[0]["loss"] == pytest.approx(result.history[0]["loss"], rel=0.05)
    assert not torch.equal(exact.net.weight, module.net.weight)


def test_tracker_files_and_unknown_tracker(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    settings = TrainingSettings(steps=2, batch_size=4, log_every=1)
    train(Plain(), Rows(4), settings, tmp_path / "a")
    assert list((tmp_path / "a" / "logs").rglob("events.out.tfevents*"))
    with pytest.raises(MissingExtraError, match="tracker='no_such_tracker' is not installed"):
        train(Plain(), Rows(4), replace(settings, tracker="no_such_tracker"), tmp_path / "b")


def test_training_leaves_the_global_random_state_alone() -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    train(Regression(), Rows(4), TrainingSettings(steps=3, batch_size=4))
    torch.manual_seed(11)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps=0"),
        ({"learning_rate": 0.0}, "learning_rate=0.0"),
        ({"schedule": "step"}, "schedule='step'"),
        ({"mixed_precision": "fp8"}, "mixed_precision='fp8'"),
        ({"warmup": -1}, "warmup=-1"),
    ],
)
def test_impossible_settings(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainingSettings(**settings)


def test_schedule_is_a_function_of_the_step() -> None:
    settings = TrainingSettings(steps=110, warmup=10, learning_rate=1.0)
    rates = [settings.learning_rate_at(step) for step in range(110)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0
    assert rates[60] == pytest.approx(0.5)
    assert rates[-1] < 0.001
    linear = replace(settings, schedule="linear")
    assert linear.learning_rate_at(60) == pytest.approx(0.5)
    assert replace(settings, schedule="constant").learning_rate_at(109) == 1.0
