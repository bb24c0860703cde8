"""Features of a whole log: streamed, only what the store lacks is computed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np

from agentq.errors import FeatureError
from agentq.features.extract import FeatureExtractor, Pair, Prepared
from agentq.features.store import FeatureStore, RowNumbers
from agentq.trajectories.reader import Episode


@dataclass(frozen=True, slots=True)
class Extraction:
    """Where the features of a stream of pairs are, and how much of them was new."""

    rows: RowNumbers  # (pairs,) row numbers in the store
    computed: int  # distinct features computed now
    tokens: int  # real tokens read by the backbone for them; 0 for an encoder


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an extraction is."""

    pairs: int
    computed: int
    tokens: int


def extract_log(
    pairs: Iterable[Pair],
    extractor: FeatureExtractor,
    store: FeatureStore,
    progress: Callable[[Progress], None] | None = None,
    window: int = 2048,
    flush_seconds: float = 30.0,
) -> Extraction:
    """Compute the features that ``store`` lacks and return the row of every pair, in order.

    ``window`` pairs at a time are sorted by length and batched; memory holds one window and 8 bytes a pair.
    A kill loses at most what was computed since the last flush. Raises ``FeatureError`` when the store's key
    is not the extractor's, for features that are not finite (naming the pair), and for a full disk.
    """
    expected = extractor.key(store.key.content)
    if store.key != expected:
        raise FeatureError(f"the store was opened with {store.key}, but the extractor makes {expected}.")
    stream = iter(pairs)
    numbers: list[RowNumbers] = []
    done = computed = tokens = 0
    flushed = time.monotonic()
    while chunk := list(islice(stream, window)):
        prepared = [_prepare(extractor, pair, store, done + i) for i, pair in enumerate(chunk)]
        ids = [item.id for item in prepared]
        new = store.missing(ids)
        if len(new):
            wanted = [prepared[i] for i in new]
            features = extractor.compute(wanted)
            store.append([ids[i] for i in new], features, _describe(done, new, chunk))
            computed += len(new)
            tokens += sum(_length(item) for item in wanted)
        numbers.append(store.find(ids))
        done += len(chunk)
        if time.monotonic() - flushed > flush_seconds:
            store.flush()
            flushed = time.monotonic()
        if progress is not None:
            progress(Progress(done, computed, tokens))
    store.flush()
    rows = np.concatenate(numbers) if numbers else np.zeros(0, dtype=np.int64)
    return Extraction(rows, computed, tokens)


def logged_pairs(
    episodes: Iterable[Episode], candidates: Literal["chosen", "all"] = "chosen"
) -> Iterator[Pair]:
    """(messages, action) of every step: the executed action, or all candidates that parsed.

    An executed candidate that did not parse is read as its raw text.
    """
    for episode in episodes:
        for step in episode.trajectory.steps:
            if candidates == "chosen":
                yield step.messages, step.decision.action
            else:
                for candidate in step.decision.candidates:
                    if candidate.action is not None:
                        yield step.messages, candidate.action


def _prepare(extractor: FeatureExtractor, pair: Pair, store: FeatureStore, number: int) -> Prepared:
    if (pair[1] is None) != (store.key.content == "states"):
        raise FeatureError(
            f"pair {number} {'has no' if pair[1] is None else 'has an'} action, but the store holds "
            f"{store.key.content}. States and pairs go into stores of their own (extractor.key('states'))."
        )
    return extractor.prepare(pair)


def _describe(done: int, new: RowNumbers, chunk: list[Pair]) -> Callable[[int], str]:
    return lambda item: f"pair {done + int(new[item])} (action {str(chunk[new[item]][1])[:60]!r})"


def _length(item: Prepared) -> int:
    return 0 if isinstance(item.state, str) else len(item.state) + len(item.action)
