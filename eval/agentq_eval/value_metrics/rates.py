"""Shares of the drawn candidates that did not parse or repeated another one of their state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from agentq.errors import EvaluationError
from agentq_eval.episodes import EpisodeResult
from agentq_eval.statistics import Estimate, TaskBootstrap, wilson
from agentq_eval.statistics.estimate import checked


@dataclass(frozen=True, slots=True)
class ProposalRates:
    """Over all candidates drawn in some episodes; n: candidates."""

    parser_failures: Estimate
    duplicates: Estimate


def proposal_rates(
    results: Sequence[EpisodeResult], repetitions: int = 2000, seed: int = 0, confidence: float = 0.95
) -> ProposalRates:
    """Rates of the episodes of one arm at one N, tasks resampled. Undefined when nothing was drawn."""
    samples, tasks = [result.samples for result in results], [result.task for result in results]
    failures, repeats = (
        ratio_of_counts(counts, samples, tasks, repetitions, seed, confidence)
        for counts in ([r.unparsed for r in results], [r.duplicates for r in results])
    )
    return ProposalRates(failures, repeats)


def ratio_of_counts(
    counts: ArrayLike,
    totals: ArrayLike,
    tasks: Sequence[str],
    repetitions: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Estimate:
    """sum(counts) / sum(totals) over episodes, tasks resampled; n: sum(totals).

    At 0 and 1 Wilson's limits for as many trials as there are tasks, for nothing says how alike the trials of
    a task are. Fewer than two tasks have no limits. Raises ``EvaluationError`` unless 0 <= counts <= totals.
    """
    part, whole = checked(counts, "counts"), checked(totals, "totals")
    if part.shape != whole.shape or len(tasks) != len(part):
        raise EvaluationError(
            f"{len(part)} counts, {len(whole)} totals and {len(tasks)} tasks: expected one each per episode."
        )
    wrong = np.flatnonzero((part < 0) | (part > whole))
    if wrong.size:
        place = int(wrong[0])
        raise EvaluationError(
            f"counts[{place}] is {part[place]:g} of {whole[place]:g}: expected between 0 and the total."
        )
    drawn = whole > 0  # an episode without trials says nothing
    part, whole = part[drawn], whole[drawn]
    names = [task for task, one in zip(tasks, drawn, strict=True) if one]
    n, different = int(whole.sum()), len(set(names))
    if not n:
        return Estimate(None, None, None, 0)
    value = float(part.sum() / whole.sum())
    if different < 2:
        return Estimate(value, None, None, n)
    if value in (0.0, 1.0):
        found = wilson(value * different, different, confidence)
    else:  # the base is 0 and the top is the total: the ratio of the sums
        found = TaskBootstrap(names, None, repetitions, seed, confidence).gap_closed(
            part, whole, np.zeros(len(part))
        )
    return Estimate(value, found.low, found.high, n)
