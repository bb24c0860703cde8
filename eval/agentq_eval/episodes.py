"""The episodes behind a report: one record each, checked, grouped by arm, paired across arms."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, cast, get_args

from agentq.errors import EvaluationError

ORACLE = "oracle"  # as a selector: the best candidate by the environment's exact lookahead
TREE_SEARCH = "tree_search"  # as a selector: a search in copies of the environment, see running/planning.py
#: Selectors that read the environment; the values that they log are not the critic's.
WITH_SIMULATOR = (ORACLE, TREE_SEARCH)
#: The arms in the order of every table and plot; later ones may follow in alphabetical order.
ARMS = ("sampled", "greedy", "majority", "softmax", "best_of_n", "oracle")
#: Arms that need no candidates; they are the same at every N.
SINGLE = ("sampled", "greedy")

#: finished: played to its end or to the step limit; failed: the agent or the environment raised; timed_out: a
#: step or the episode took too long; infrastructure: a server or a worker was lost, also on every retry.
Outcome = Literal["finished", "failed", "timed_out", "infrastructure"]


@dataclass(frozen=True, slots=True)
class EpisodeResult:
    """One episode of one arm."""

    arm: str
    n: int  # candidates per decision
    task: str
    seed: int
    score: float  # in [0, 1]
    success: bool
    steps: int
    seconds: float  # spent on deciding
    tokens: int  # generated and scored
    decisions: int
    outcome: Outcome
    truncated: bool = False  # cut by the step limit
    attempts: int = 1  # more than 1: infrastructure broke off those before
    error: str = ""  # why it did not finish
    samples: int = 0  # candidates drawn, duplicates included
    duplicates: int = 0  # of them, how many repeated another one of their state
    unparsed: int = 0  # of them, how many did not parse


Cells = dict[tuple[str, int], list[EpisodeResult]]  # by (arm, n), sorted by (task, seed)


def group(results: Iterable[EpisodeResult]) -> Cells:
    """Episodes by arm and N, arms in the order of ``ARMS``; refuses impossible values and an empty list."""
    cells: Cells = {}
    for result in results:
        _check(result)
        cells.setdefault((result.arm, result.n), []).append(result)
    if not cells:
        raise EvaluationError("no episodes to report: expected at least one per arm.")
    for cell in cells.values():
        cell.sort(key=lambda result: (result.task, result.seed))
    order = {name: position for position, name in enumerate(ARMS)}
    return dict(sorted(cells.items(), key=lambda item: (order.get(item[0][0], len(ARMS)), *item[0])))


def _check(result: EpisodeResult) -> None:
    problem = None
    if not 0 <= result.score <= 1:
        problem = f"score {result.score} is outside [0, 1]"
    elif result.outcome not in get_args(Outcome):
        problem = f"outcome {result.outcome!r} is none of {', '.join(get_args(Outcome))}"
    elif result.n < 1 or min(result.steps, result.tokens, result.decisions) < 0:
        problem = f"n={result.n}, steps={result.steps}, tokens={result.tokens} cannot be"
    elif not (math.isfinite(result.seconds) and result.seconds >= 0):
        problem = f"seconds {result.seconds} cannot be"
    if problem:
        raise EvaluationError(f"arm {result.arm!r}, task {result.task!r}, seed {result.seed}: {problem}.")


def check_paired(cells: Cells) -> None:
    """Refuse cells that did not play exactly the same (task, seed) pairs, once each."""
    (first, cell), *others = cells.items()
    keys = [(result.task, result.seed) for result in cell]
    for before, after in pairwise(keys):
        if before == after:
            raise EvaluationError(
                f"arm {first[0]!r} at N={first[1]} has task {after[0]!r}, seed {after[1]} twice."
            )
    for (arm, n), other in others:
        other_keys = [(result.task, result.seed) for result in other]
        if other_keys == keys:
            continue
        odd = sorted(set(keys) ^ set(other_keys))
        example = (
            f"task {odd[0][0]!r}, seed {odd[0][1]} is in one only" if odd else "one episode is there twice"
        )
        raise EvaluationError(
            f"arm {arm!r} at N={n} ({len(other)} episodes) and {first[0]!r} at N={first[1]} "
            f"({len(keys)}) are not paired: {example}. Play every arm on the same tasks and seeds."
        )


def read_results(path: Path) -> list[EpisodeResult]:
    """The episodes of an ``episodes.jsonl``. Raises ``EvaluationError`` for a line that is none."""
    names = {field.name for field in fields(EpisodeResult)}
    results: list[EpisodeResult] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(
            f"cannot read {str(path)!r}: {error}. Expected a folder of a report."
        ) from error
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise EvaluationError(f"{path}, line {number} is no JSON: {error}.") from error
        if not isinstance(row, dict) or set(cast(dict[str, Any], row)) != names:
            raise EvaluationError(f"{path}, line {number}: expected the keys {', '.join(sorted(names))}.")
        results.append(EpisodeResult(**cast(dict[str, Any], row)))
    return results


def write_results(results: Iterable[EpisodeResult], path: Path) -> None:
    """One JSON line per episode, as ``read_results`` reads them."""
    lines = (json.dumps(asdict(result), allow_nan=False) + "\n" for result in results)
    path.write_text("".join(lines), encoding="utf-8")
