"""What a person sees while training: a bar with the time left, and trackers through accelerate."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from agentq.errors import MissingExtraError
from agentq.training.settings import TrainingSettings

if TYPE_CHECKING:
    from accelerate import Accelerator

_LINE_SECONDS = 30.0
_MODULES = {"tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",), "mlflow": ("mlflow",)}


class Bar(Protocol):
    """Advances with the training."""

    def __call__(self, step: int, text: str) -> None:
        """Show that ``step`` optimiser steps are done."""
        ...


def tracker_names(settings: TrainingSettings, directory: Path | None) -> list[str]:
    """Trackers for accelerate; the default tensorboard is left out where it is not installed.

    Raises ``MissingExtraError`` for another tracker that is not installed.
    """
    if settings.tracker in ("", "none") or directory is None:
        return []
    modules = _MODULES.get(settings.tracker, (settings.tracker,))
    if any(find_spec(module) is not None for module in modules):
        return [settings.tracker]
    if settings.tracker == TrainingSettings().tracker:
        return []
    raise MissingExtraError(
        f"tracker={settings.tracker!r} is not installed. Run: pip install {modules[0]}, or use "
        "tracker='none'."
    )


def start_trackers(accelerator: Accelerator, name: str, settings: TrainingSettings) -> None:
    """Open the trackers and record the settings as hyper-parameters."""
    if accelerator.log_with:
        accelerator.init_trackers(name, config=asdict(settings))


@contextmanager
def bar(name: str, total: int, done: int, shown: bool) -> Iterator[Bar]:
    """A progress bar on a terminal, elsewhere (a log file) a line every half minute."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not shown:
        yield lambda step, text: None
        return
    if not console.is_terminal:
        yield _Lines(name, total, done)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[text]}"), console=console, transient=True) as progress:
        task = progress.add_task(name, total=total, completed=done, text="")
        yield lambda step, text: progress.update(task, completed=step, text=text)


class _Lines:
    """Writes ``name step/total text, time left`` to standard error now and then."""

    def __init__(self, name: str, total: int, done: int) -> None:
        self._name, self._total, self._done = name, total, done
        self._began = self._written = time.monotonic()

    def __call__(self, step: int, text: str) -> None:
        now = time.monotonic()
        if now - self._written < _LINE_SECONDS:
            return
        self._written = now
        left = (now - self._began) / max(1, step - self._done) * (self._total - step)
        print(f"{self._name} {step}/{self._total} {text}, {left:.0f} s left", file=sys.stderr, flush=True)
