"""What a point of score costs: extra tokens and seconds of one arm over another, per point gained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from agentq.errors import EvaluationError
from agentq_eval.episodes import EpisodeResult
from agentq_eval.statistics import Estimate, TaskBootstrap
from agentq_eval.statistics.estimate import checked

POINT = 0.01  # of score


@dataclass(frozen=True, slots=True)
class Price:
    """Extra cost per episode, in the unit of the costs, and per point of score."""

    extra: Estimate  # paired difference of the mean cost
    per_point: Estimate  # undefined without a gain; an open end where some resamples have none


@dataclass(frozen=True, slots=True)
class CostOfGain:
    """One arm against another on the episodes that both played."""

    points: Estimate  # of score gained, in hundredths; n: episodes
    tokens: Price
    seconds: Price


def cost_of_gain(
    results: Sequence[EpisodeResult],
    base: Sequence[EpisodeResult],
    repetitions: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> CostOfGain:
    """Cost of the gain over ``base``, paired by (task, seed); episodes of one side alone are left out.

    Raises ``EvaluationError`` when a side has a (task, seed) twice: pass one arm at one N each.
    """
    ours, theirs = _by_pair(results), _by_pair(base)
    pairs = sorted(ours.keys() & theirs.keys())
    tasks = [task for task, _ in pairs]
    bootstrap = TaskBootstrap(tasks, None, repetitions, seed, confidence)
    gained = np.array([ours[p].score - theirs[p].score for p in pairs], dtype=np.float64)
    tokens = np.array([ours[p].tokens - theirs[p].tokens for p in pairs], dtype=np.float64)
    seconds = np.array([ours[p].seconds - theirs[p].seconds for p in pairs], dtype=np.float64)
    return CostOfGain(
        bootstrap.mean(gained / POINT), _price(bootstrap, gained, tokens), _price(bootstrap, gained, seconds)
    )


def price_per_point(
    gained: ArrayLike,
    extra: ArrayLike,
    tasks: Sequence[str],
    repetitions: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Price:
    """Price from paired differences of score (E,) and of cost (E,), one per episode; tasks resampled.

    Raises ``EvaluationError`` for values that are not finite or of another length.
    """
    scores, costs = checked(gained, "gained"), checked(extra, "extra")
    return _price(TaskBootstrap(tasks, None, repetitions, seed, confidence), scores, costs)


def _price(bootstrap: TaskBootstrap, gained: ArrayLike, extra: ArrayLike) -> Price:
    points = np.asarray(gained, dtype=np.float64) / POINT
    # With a base of 0 the share of the gap is the ratio of the means; without a gain it is undefined, for a
    # negative price would read like a bargain.
    return Price(bootstrap.mean(extra), bootstrap.gap_closed(extra, points, np.zeros(len(points))))


def _by_pair(results: Sequence[EpisodeResult]) -> dict[tuple[str, int], EpisodeResult]:
    found: dict[tuple[str, int], EpisodeResult] = {}
    for result in results:
        key = (result.task, result.seed)
        if key in found:
            raise EvaluationError(
                f"task {result.task!r}, seed {result.seed} is there twice (arm {result.arm!r}, N={result.n}): "
                "expected the episodes of one arm at one N."
            )
        found[key] = result
    return found
