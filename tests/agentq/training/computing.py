"""Where the training loop computes: it asks accelerate, which decides once per process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from accelerate.state import AcceleratorState


@contextmanager
def training_on(device: str) -> Iterator[None]:
    """Trainings inside are on the CPU for "cpu", else on the first GPU, as in a process of their own."""
    AcceleratorState._reset_state(reset_partial_state=True)
    with pytest.MonkeyPatch.context() as patch:
        if device == "cpu":
            patch.setenv("ACCELERATE_USE_CPU", "true")
        yield
    AcceleratorState._reset_state(reset_partial_state=True)
