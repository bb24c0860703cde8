"""How many tasks an evaluation needs: the text of ``agentq eval power``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from agentq.errors import ConfigError, EvaluationError
from agentq_eval.episodes import EpisodeResult
from agentq_eval.runs.reader import RunReader
from agentq_eval.statistics import minimum_detectable, tasks_needed
from agentq_eval.suites.suite import Roles

_DIFFERENCES = (0.01, 0.02, 0.03, 0.05, 0.1)  # in score


def power_text(
    difference: float | None, run: Path | None, deviation: float | None, power: float = 0.8
) -> str:
    """A table of differences in score and the tasks that they need, paired and unpaired.

    The spread is ``deviation`` (of paired differences), or that between the method and the better base of
    ``run``. Raises ``ConfigError`` when there is neither, ``EvaluationError`` for impossible numbers.
    """
    if (run is None) == (deviation is None):
        raise ConfigError(
            "tasks needed depend on how much paired differences vary: give --from RUN (a run like the one you "
            "plan), or --deviation (0.3 to 0.5 is usual for scores in [0, 1]), and not both."
        )
    lines: list[str] = []
    if run is not None:
        method, base, spread, alone, tasks = spread_of_run(run)
        seen = minimum_detectable(tasks, spread, power)
        lines += [
            f"{run.name}: {method} against {base} on {tasks} tasks; paired differences vary by {spread:.3f}, "
            f"scores by {alone:.3f}.",
            f"As large as it is, that run sees differences from {seen:.3f} on with power {power:.0%}.",
        ]
    else:
        assert deviation is not None
        spread, alone = deviation, deviation / np.sqrt(2)  # of independent arms
        lines.append(
            f"Paired differences that vary by {spread:.3f}; unpaired: independent arms of the same spread."
        )
    lines += ["", f"{'difference':>10}  {'tasks, paired':>13}  {'per arm, unpaired':>17}"]
    for wanted in _DIFFERENCES if difference is None else (difference,):
        paired = tasks_needed(wanted, spread, power)
        unpaired = tasks_needed(wanted, float(alone), power, paired=False)
        lines.append(f"{wanted:>10.3f}  {paired:>13,}  {unpaired:>17,}")
    lines += ["", f"Power {power:.0%}, two-sided level 5 %, normal approximation."]
    return "\n".join(lines)


def spread_of_run(folder: Path) -> tuple[str, str, float, float, int]:
    """Method, better base, deviation of their paired differences and of single scores, over tasks; and tasks.

    Seeds of a task are averaged first. Raises ``EvaluationError`` when the arms share fewer than two tasks.
    """
    reader = RunReader(folder)
    stored: dict[str, Any] = dict(reader.manifest.suite["roles"])
    stored["bases"] = tuple(stored["bases"])
    roles = Roles(**stored)
    by_arm: dict[str, dict[str, list[float]]] = {}
    largest: dict[str, int] = {}
    for result in reader.results():
        if result.outcome != "infrastructure":
            _add(by_arm, largest, result)
    bases = [name for name in roles.bases if name in by_arm]
    if roles.method not in by_arm or not bases:
        raise EvaluationError(
            f"{folder} has the arms {', '.join(by_arm) or 'none'}, expected {roles.method} and one of "
            f"{', '.join(roles.bases)}. Give --deviation instead."
        )
    means = {name: {task: float(np.mean(s)) for task, s in tasks.items()} for name, tasks in by_arm.items()}
    base = max(bases, key=lambda name: float(np.mean(list(means[name].values()))))
    tasks = sorted(means[roles.method].keys() & means[base].keys())
    if len(tasks) < 2:
        raise EvaluationError(
            f"{folder}: {roles.method} and {base} share {len(tasks)} tasks, expected at least 2."
        )
    ours, theirs = (np.array([means[name][task] for task in tasks]) for name in (roles.method, base))
    spread = float((ours - theirs).std(ddof=1))
    if spread == 0:
        raise EvaluationError(f"{folder}: {roles.method} and {base} never differ. Give --deviation instead.")
    alone = float(np.sqrt((ours.var(ddof=1) + theirs.var(ddof=1)) / 2))
    return roles.method, base, spread, alone, len(tasks)


def _add(by_arm: dict[str, dict[str, list[float]]], largest: dict[str, int], result: EpisodeResult) -> None:
    """Keep the scores of each arm's largest N alone."""
    if result.n > largest.get(result.arm, 0):
        largest[result.arm] = result.n
        by_arm[result.arm] = {}
    if result.n == largest[result.arm]:
        by_arm[result.arm].setdefault(result.task, []).append(result.score)
