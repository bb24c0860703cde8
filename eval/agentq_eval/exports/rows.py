"""Tables of a run: one row per episode, one row per logged step."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agentq.types import Step
from agentq_eval.reports.failures import episode_id
from agentq_eval.reports.files import results_of
from agentq_eval.runs.reader import RunReader

Row = dict[str, Any]


def episode_rows(folder: Path) -> Iterator[Row]:
    """One flat row per episode; ``episode`` is its id in the log."""
    for result in results_of(folder):
        yield {"episode": episode_id(result), **asdict(result)}


def step_rows(folder: Path) -> Iterator[Row]:
    """One flat row per step of the episodes whose outcome stands, in the order of the log.

    Lists per candidate (actions, q, probabilities, labels) are JSON text, with null for what is not finite.
    Raises ``EvaluationError`` for a folder without a log.
    """
    for result, trajectory in RunReader(folder).played():
        name = episode_id(result)
        for index, step in enumerate(trajectory.steps):
            yield {
                "episode": name,
                "arm": result.arm,
                "n": result.n,
                "task": result.task,
                "seed": result.seed,
                "step": index,
                **_of_step(step),
            }


def _of_step(step: Step) -> Row:
    decision = step.decision
    timings = step.timings
    return {
        "action": decision.action,
        "parsed": decision.chosen.valid,
        "reward": step.reward,
        "terminated": step.terminated,
        "truncated": step.truncated,
        "selector": decision.selector,
        "chosen": decision.index,
        "chosen_q": finite(float(decision.q[decision.index])),
        "chosen_probability": finite(float(decision.probabilities[decision.index])),
        "candidates": len(decision.candidates),
        "samples": sum(candidate.count for candidate in decision.candidates),
        "seconds": timings.get("decide"),
        "env_seconds": timings.get("env"),
        "tokens": timings.get("tokens"),
        "actions": json.dumps([candidate.action for candidate in decision.candidates], ensure_ascii=False),
        "q": numbers(decision.q.tolist()),
        "probabilities": numbers(decision.probabilities.tolist()),
        "labels": None if step.labels is None else numbers(step.labels.tolist()),
    }


def finite(value: float) -> float | None:
    """The value, None when it is infinite or NaN: tables and JSON have no such numbers."""
    return value if abs(value) < float("inf") else None


def numbers(values: list[float]) -> str:
    """JSON text of a list of numbers."""
    return json.dumps([finite(value) for value in values])
