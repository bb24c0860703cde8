"""Many sessions in parts of a fixed size, played by several processes: the same for any number of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TypeVar

T = TypeVar("T")
_SIZE = 1000  # sessions of a part: another number gives other sessions
_STRIDE = 1_000  # between the seeds of two uses, so that no two parts share one


@dataclass(frozen=True, slots=True)
class Part:
    """Some of the sessions, with a seed of their own."""

    count: int
    seed: int
    most_steps: int | None = None  # of each session


def parts_of(sessions: int, seed: int, most_steps: int | None = None) -> list[Part]:
    """``sessions`` cut into parts. Another ``seed`` gives other sessions throughout."""
    counts = [min(_SIZE, sessions - start) for start in range(0, sessions, _SIZE)]
    return [Part(count, seed * _STRIDE + number, most_steps) for number, count in enumerate(counts)]


def in_processes(work: Callable[[Part], Sequence[T]], parts: Sequence[Part], workers: int) -> Iterator[T]:
    """What ``work`` makes of each part, in order; with one worker in this process.

    ``work`` and what it returns must be picklable for more than one worker.
    """
    if workers <= 1:
        for part in parts:
            yield from work(part)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for found in pool.map(work, parts):
            yield from found
