"""Training checkpoints that are whole or absent: written aside, synced to disk, then renamed.

A checkpoint is a folder ``step_00000500`` with what accelerate saves (weights, optimiser, gradient scaler,
random states of every process) and ``state.json``: optimiser step (which is also schedule and data cursor),
settings, data identity, history. Weights are safetensors; the rest is read with torch's restricted loader.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from agentq.errors import TrainingError

if TYPE_CHECKING:
    from accelerate import Accelerator

FORMAT = 1
_STATE = "state.json"
_BEST = "best.safetensors"
_WEIGHTS = "model.safetensors"  # accelerate's name; absent under FSDP and DeepSpeed


def newest(directory: Path) -> Path | None:
    """The newest complete checkpoint in ``directory``; None when there is none."""
    found = sorted(path for path in directory.glob("step_*") if (path / _STATE).is_file())
    return found[-1] if found else None


def save(
    accelerator: Accelerator,
    directory: Path,
    state: Mapping[str, Any],
    best: Mapping[str, Tensor] | None,
    keep: int,
) -> Path:
    """Write the checkpoint of ``state["step"]`` and delete all but the newest ``keep``; collective.

    Raises ``TrainingError`` when it cannot be written (disk full, no permission); earlier checkpoints
    stay as they were.
    """
    final = directory / f"step_{state['step']:08d}"
    aside = directory / f".writing_{final.name}"
    failure: Exception | None = None
    try:
        if accelerator.is_main_process:
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
        accelerator.wait_for_everyone()
        accelerator.save_state(str(aside))
        if accelerator.is_main_process:
            _write_rest(aside, state, best)
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors wrap ENOSPC
        failure = error
    if _any_failed(accelerator, failure is not None):
        if accelerator.is_main_process:
            shutil.rmtree(aside, ignore_errors=True)
        raise TrainingError(_why_not_written(final, failure)) from failure
    if accelerator.is_main_process:
        _publish(aside, final)
        for old in sorted(directory.glob("step_*"))[:-keep]:
            shutil.rmtree(old, ignore_errors=True)
    accelerator.wait_for_everyone()
    return final


def load(
    accelerator: Accelerator, folder: Path, module: nn.Module
) -> tuple[dict[str, Any], dict[str, Tensor] | None]:
    """Restore weights, optimiser and random states; returns ``state.json`` and the best weights so far.

    Raises ``TrainingError`` for an unreadable or newer checkpoint.
    """
    state = read_state(folder)
    try:
        # Frozen weights are not in the file, so strictness is ours to check.
        lenient: dict[str, Any] = (
            {"strict": False} if frozen_names(module) and (folder / _WEIGHTS).is_file() else {}
        )
        if lenient:
            _check_complete(folder / _WEIGHTS, module)
        accelerator.load_state(str(folder), **lenient)
        best = load_file(folder / _BEST) if (folder / _BEST).is_file() else None
    except (OSError, RuntimeError, SafetensorError, KeyError, ValueError, EOFError) as error:
        raise TrainingError(
            f"checkpoint {folder} cannot be restored: {error}. Delete this folder to resume from the one "
            "before."
        ) from error
    # accelerate only logs it when random states cannot be restored; the run would silently differ.
    if accelerator.is_main_process and state["random_state"] != random_digest():
        raise TrainingError(
            f"checkpoint {folder}: the random state of torch was not restored. "
            "Resume with the versions of torch and accelerate that wrote it, or start again."
        )
    return state, best


def read_state(folder: Path) -> dict[str, Any]:
    """``state.json`` of a checkpoint. Raises ``TrainingError`` when broken or of a newer format."""
    try:
        state: dict[str, Any] = json.loads((folder / _STATE).read_text())
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"checkpoint {folder}: {_STATE} is unreadable ({error}). Delete the folder."
        ) from error
    if state.get("format", 0) > FORMAT:
        raise TrainingError(
            f"checkpoint {folder} has format {state['format']}, this version reads up to {FORMAT}. Upgrade "
            "agentq."
        )
    return state


def random_digest() -> str:
    """Digest of torch's CPU random state."""
    return hashlib.sha256(torch.get_rng_state().numpy().tobytes()).hexdigest()


@contextmanager
def only_learned(accelerator: Accelerator, module: nn.Module) -> Iterator[None]:
    """Leave frozen weights named by ``module.frozen_prefixes`` out of checkpoints.

    A frozen backbone is loaded from its own files; copying it into every checkpoint would cost its size.
    """
    frozen = frozen_names(module)

    def drop(models: list[nn.Module], weights: list[dict[str, Tensor]], folder: str) -> None:
        del models, folder
        for state in weights:
            for name in [name for name in state if name.removeprefix("module.") in frozen]:
                del state[name]

    handle = accelerator.register_save_state_pre_hook(drop)
    try:
        yield
    finally:
        handle.remove()


def frozen_names(module: nn.Module) -> frozenset[str]:
    """Names of weights that no step changes and that have files of their own."""
    prefixes: tuple[str, ...] = getattr(module, "frozen_prefixes", ())
    if not prefixes:
        return frozenset()
    return frozenset(
        name for name, p in module.named_parameters() if not p.requires_grad and name.startswith(prefixes)
    )


def _check_complete(path: Path, module: nn.Module) -> None:
    """Raise ``KeyError`` when a learnt weight is in the file neither by name nor by a tied one."""
    with safe_open(path, "pt") as file:
        stored = {name.removeprefix("module.") for name in file.keys()}  # noqa: SIM118  # no mapping
    state, frozen = module.state_dict(), frozen_names(module)
    present = {tensor.data_ptr() for name, tensor in state.items() if name in stored}
    for name, tensor in state.items():
        if name not in frozen and name not in stored and tensor.data_ptr() not in present:
            raise KeyError(f"{path.name} lacks {name}")


def _write_rest(folder: Path, state: Mapping[str, Any], best: Mapping[str, Tensor] | None) -> None:
    if best is not None:
        save_file(dict(best), folder / _BEST)
    content = {"format": FORMAT, "random_state": random_digest(), **state}
    (folder / _STATE).write_text(json.dumps(content, allow_nan=True))


def _publish(aside: Path, final: Path) -> None:
    """Make the folder durable, then visible in one step."""
    for path in [*(p for p in aside.rglob("*") if p.is_file()), aside]:
        _sync(path)
    shutil.rmtree(final, ignore_errors=True)  # the same step written before a resume
    os.replace(aside, final)
    _sync(final.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _any_failed(accelerator: Accelerator, failed: bool) -> bool:
    flag = torch.tensor([float(failed)], device=accelerator.device)
    everyone: Any = accelerator.reduce(flag, "sum")
    return bool(everyone.item() > 0)


def _why_not_written(folder: Path, failure: Exception | None) -> str:
    free = shutil.disk_usage(folder.parent).free / 2**20 if folder.parent.is_dir() else float("nan")
    return (
        f"checkpoint {folder} could not be written: {failure or 'another process failed'} "
        f"({free:.0f} MiB free on that disk). Free some space or lower `keep`, then start the same command "
        "again: it goes on from the checkpoint before."
    )
