"""Batches of similar length, and a model that is only read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """No gradients and no dropout inside the block."""
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(training)


def length_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices in batches of similar length, at most ``budget`` padded tokens each, longest first.

    A batch that is a quarter full ends early where the next row would be padded by more than 3 %.
    """
    batch: list[int] = []
    widest = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        padded = len(batch) * widest
        wasteful = 4 * padded >= budget and lengths[index] < 0.97 * widest
        if batch and (padded + widest > budget or wasteful):
            yield batch
            batch = []
        widest = widest if batch else lengths[index]
        batch.append(index)
    if batch:
        yield batch
