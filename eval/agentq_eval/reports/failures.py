"""What went wrong, by kind, with examples to look at."""

from __future__ import annotations

import re
from collections.abc import Iterable

from agentq_eval.episodes import EpisodeResult
from agentq_eval.reports.settings import Report, key_of, key_text
from agentq_eval.runs.manifest import Planned

EXAMPLES = 3
#: ``where: ErrorName: message`` as the runner writes it; the name is what failures are sorted by.
_ERROR = re.compile(
    r"^(?:(?P<where>[a-z_ ]+): )?(?P<name>[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Timeout)?):"
)


def failures(results: Iterable[EpisodeResult], broken_off: Iterable[EpisodeResult] = ()) -> list[Report]:
    """Outcomes other than a clean end, most frequent first.

    Kinds: ``failed``, ``timed_out`` and ``infrastructure`` by error; ``step limit`` for truncated episodes;
    ``retried`` for attempts that infrastructure ended and a later one made good (these are attempts, not
    episodes).
    """
    rows: dict[tuple[str, str], Report] = {}
    final: set[tuple[str, int, str, int, int]] = set()
    for result in results:
        if result.outcome != "finished":
            final.add((*key_of(result), result.task, result.seed, result.attempts))
            _add(rows, result.outcome, error_name(result.error), result)
        elif result.truncated:
            _add(rows, "step_limit", "Step limit reached", result)
    for attempt in broken_off:
        if (*key_of(attempt), attempt.task, attempt.seed, attempt.attempts) not in final:
            _add(rows, "retried", error_name(attempt.error), attempt, suffix=f"!{attempt.attempts}")
    return sorted(rows.values(), key=lambda row: (-row["count"], row["outcome"], row["kind"]))


def error_name(error: str) -> str:
    """The class of a logged error, with the call it came from; its first line without figures when it has none."""
    found = _ERROR.match(error)
    if found:
        where = found["where"]
        return f"{found['name']} in {where}" if where else found["name"]
    if not error.strip():
        return "no error text"
    return re.sub(r"\d[\d.,]*", "…", error.strip().splitlines()[0])[
        :80
    ]  # figures differ, the kind is the same


def episode_id(result: EpisodeResult) -> str:
    """The id of a settled episode in the log of its run."""
    name = Planned(result.arm, result.n, result.task, result.seed).id
    # The last attempt of an episode that infrastructure lost is in the log like those before it.
    return f"{name}!{result.attempts}" if result.outcome == "infrastructure" else name


def _add(
    rows: dict[tuple[str, str], Report], outcome: str, kind: str, result: EpisodeResult, suffix: str = ""
) -> None:
    row = rows.setdefault(
        (outcome, kind), {"outcome": outcome, "kind": kind, "count": 0, "arms": {}, "examples": []}
    )
    arm = key_text(key_of(result))
    row["count"] += 1
    row["arms"][arm] = row["arms"].get(arm, 0) + 1
    if len(row["examples"]) < EXAMPLES:
        name = (
            Planned(result.arm, result.n, result.task, result.seed).id + suffix
            if suffix
            else episode_id(result)
        )
        row["examples"].append({"episode": name, "error": result.error})
