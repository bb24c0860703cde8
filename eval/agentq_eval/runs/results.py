"""From a logged episode to its line in the results, and from all attempts to one outcome per planned episode."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from agentq.types import Trajectory
from agentq_eval.episodes import EpisodeResult


def result_of(trajectory: Trajectory) -> EpisodeResult:
    """What results keep of an episode; arm, n, outcome, attempt and error are in its metadata.

    An episode that failed or timed out keeps the rewards it had; ``seconds`` counts deciding only.
    """
    about: dict[str, Any] = dict(trajectory.metadata)
    steps = trajectory.steps
    outcome = about.get("outcome", "finished")
    proposed = [step.decision.candidates for step in steps]
    return EpisodeResult(
        arm=about["arm"],
        n=about["n"],
        task=trajectory.task,
        seed=trajectory.seed,
        score=trajectory.score,
        success=trajectory.success,
        steps=len(steps),
        seconds=sum(step.timings.get("decide", 0.0) for step in steps),
        tokens=round(sum(step.timings.get("tokens", 0.0) for step in steps)),
        decisions=len(steps),
        outcome=outcome,
        truncated=outcome == "finished" and bool(steps) and not steps[-1].terminated,
        attempts=about.get("attempt", 1),
        error=about.get("error", ""),
        samples=sum(c.count for candidates in proposed for c in candidates),
        duplicates=sum(c.count - 1 for candidates in proposed for c in candidates),
        unparsed=sum(c.count for candidates in proposed for c in candidates if c.action is None),
    )


def settle(attempts: Iterable[EpisodeResult]) -> list[EpisodeResult]:
    """One result per (arm, n, task, seed): the attempt that was not lost, or the last one lost.

    Its ``attempts`` is how many there were.
    """
    found: dict[tuple[str, int, str, int], EpisodeResult] = {}
    for result in attempts:
        key = (result.arm, result.n, result.task, result.seed)
        before = found.get(key)
        count = max(result.attempts, before.attempts if before else 0)
        kept = before if before and before.outcome != "infrastructure" else result
        found[key] = replace(kept, attempts=count)
    return list(found.values())
