"""The rows of a trajectory log: how steps and episodes become flat JSON objects, and back, exactly.

A shard is JSON lines of four kinds, told apart by the column ``record``: one ``schema`` row at its top,
then per episode one ``episode`` row, one ``step`` row per step and one ``end`` row. Columns keep one type
each (free dictionaries are JSON text), so pyarrow and ``datasets`` infer the same schema for any log.

JSON has no infinities and Arrow no lone surrogates: such a number is written as null, such a text with
question marks, and the column ``exact`` maps the path of each to its true value (``{"q.1": "-inf"}``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from agentq.errors import LogError
from agentq.types import Candidate, Decision, FloatArray, Message, Messages, Step, Trajectory

SCHEMA_VERSION = 1

Row = dict[str, Any]
Exact = dict[str, str]  # path of a value that JSON or Arrow cannot hold -> that value


def schema_row() -> Row:
    """The first row of every shard: one typed example per column, so that no reader guesses a type."""
    candidate = {
        "text": "",
        "action": "",
        "error": "",
        "token_ids": [0],
        "token_logprobs": [0.0],
        "count": 0,
    }
    return {
        "record": "schema",
        "schema_version": SCHEMA_VERSION,
        "episode": "",
        "task": "",
        "seed": 0,
        "environment": "",
        "metadata": "{}",
        "step": 0,
        "messages_kept": 0,
        "messages": [{"role": "", "content": "", "extra": ""}],
        "candidates": [candidate],
        "q": [0.0],
        "head_q": [[0.0]],
        "support": [0.0],
        "probabilities": [0.0],
        "index": 0,
        "draw": 0.0,
        "selector": "",
        "selector_options": "{}",
        "reward": 0.0,
        "terminated": False,
        "truncated": False,
        "info": "{}",
        "timings": "{}",
        "labels": [0.0],
        "flags": [""],
        "exact": "{}",
        "steps": 0,
        "score": 0.0,
        "crc32": 0,
    }


def episode_row(episode: str, trajectory: Trajectory) -> Row:
    """The row that opens an episode. Raises ``LogError`` when a value cannot be stored."""
    exact: Exact = {}
    row = _base("episode", episode, trajectory, exact)
    row["environment"] = _text(trajectory.environment, "environment", exact)
    row["metadata"] = _json_text(trajectory.metadata, f"episode {episode!r}: metadata")
    row["exact"] = json.dumps(exact)
    return row


def end_row(episode: str, trajectory: Trajectory) -> Row:
    """The row that closes an episode; the writer adds the checksum as its last column."""
    score = trajectory.score
    return {
        "record": "end",
        "schema_version": SCHEMA_VERSION,
        "episode": episode,
        "steps": len(trajectory.steps),
        "score": score if math.isfinite(score) else None,
    }


def step_row(episode: str, index: int, trajectory: Trajectory) -> Row:
    """The row of step ``index``; messages shared with the previous step are only counted.

    Raises ``LogError`` when shapes disagree or a value cannot be stored.
    """
    step = trajectory.steps[index]
    where = f"episode {episode!r}, step {index}"
    _check_shapes(step, where)
    previous: Messages = trajectory.steps[index - 1].messages if index else ()
    kept = _shared_prefix(previous, step.messages)
    decision, exact = step.decision, Exact()
    row = _base("step", episode, trajectory, exact)
    row |= {
        "step": index,
        "messages_kept": kept,
        "messages": [
            _message_row(message, f"messages.{i}", exact, where)
            for i, message in enumerate(step.messages[kept:])
        ],
        "candidates": [
            _candidate_row(candidate, f"candidates.{i}", exact)
            for i, candidate in enumerate(decision.candidates)
        ],
        "q": _numbers(decision.q, "q", exact),
        "head_q": None
        if decision.head_q is None
        else [_numbers(row, f"head_q.{k}", exact) for k, row in enumerate(decision.head_q)],
        "support": None if decision.support is None else _numbers(decision.support, "support", exact),
        "probabilities": _numbers(decision.probabilities, "probabilities", exact),
        "index": int(decision.index),
        "draw": None if decision.draw is None else _number(decision.draw, "draw", exact),
        "selector": _text(decision.selector, "selector", exact),
        "selector_options": None
        if decision.selector_options is None
        else _json_text(decision.selector_options, f"{where}: selector_options"),
        "reward": _number(step.reward, "reward", exact),
        "terminated": bool(step.terminated),
        "truncated": bool(step.truncated),
        "info": _json_text(step.info, f"{where}: info"),
        "timings": _json_text(step.timings, f"{where}: timings"),
        "labels": None if step.labels is None else _numbers(step.labels, "labels", exact),
        "flags": [_text(flag, f"flags.{i}", exact) for i, flag in enumerate(decision.flags)],
    }
    row["exact"] = json.dumps(exact)
    return row


def read_step(row: Row, previous: Messages) -> Step:
    """The step of one ``step`` row, given the messages of the step before it."""
    _restore_exact(row)
    candidates = tuple(_read_candidate(item) for item in row["candidates"])
    decision = Decision(
        candidates=candidates,
        q=_array(row["q"]),
        probabilities=_array(row["probabilities"]),
        index=row["index"],
        draw=row["draw"],
        head_q=None if row["head_q"] is None else _array(row["head_q"]).reshape(-1, len(candidates)),
        selector=row["selector"],
        flags=tuple(row["flags"]),
        # Logs of AgentQ before these columns lack both.
        support=None if row.get("support") is None else _array(row["support"]),
        selector_options=None if row.get("selector_options") is None else json.loads(row["selector_options"]),
    )
    appended = [_read_message(item) for item in row["messages"]]
    return Step(
        messages=(*previous[: row["messages_kept"]], *appended),
        decision=decision,
        reward=row["reward"],
        terminated=row["terminated"],
        truncated=row["truncated"],
        info=json.loads(row["info"]),
        timings=json.loads(row["timings"]),
        labels=None if row["labels"] is None else _array(row["labels"]),
    )


def read_episode(rows: Sequence[Row]) -> Trajectory:
    """The trajectory of one ``episode`` row and its ``step`` rows, in order."""
    head = rows[0]
    _restore_exact(head)
    steps: list[Step] = []
    for row in rows[1:]:
        steps.append(read_step(row, steps[-1].messages if steps else ()))
    return Trajectory(
        task=head["task"],
        seed=head["seed"],
        steps=tuple(steps),
        environment=head["environment"],
        metadata=json.loads(head["metadata"]),
    )


def check_version(row: Row, where: str) -> None:
    """Raise ``LogError`` when ``row`` was written by a newer AgentQ than this one."""
    version = row.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise LogError(
            f"{where} has log schema version {version}, this AgentQ reads up to {SCHEMA_VERSION}. "
            "Upgrade: pip install --upgrade agentq"
        )


def _base(record: str, episode: str, trajectory: Trajectory, exact: Exact) -> Row:
    if not -(2**63) <= trajectory.seed < 2**63:
        raise LogError(
            f"episode {episode!r}: seed {trajectory.seed} does not fit 64 bits. "
            "Draw seeds below 2**63 and derive longer ones from them."
        )
    return {
        "record": record,
        "schema_version": SCHEMA_VERSION,
        "episode": episode,
        "task": _text(trajectory.task, "task", exact),
        "seed": int(trajectory.seed),
    }


def _check_shapes(step: Step, where: str) -> None:
    decision = step.decision
    n = len(decision.candidates)
    shapes: dict[str, tuple[NDArray[Any] | None, int]] = {
        "q": (decision.q, 1),
        "probabilities": (decision.probabilities, 1),
        "head_q": (decision.head_q, 2),
        "support": (decision.support, 1),
        "labels": (step.labels, 1),
    }
    for name, (value, dimensions) in shapes.items():
        if value is not None and (np.ndim(value) != dimensions or np.shape(value)[-1] != n):
            raise LogError(
                f"{where}: {name} has shape {np.shape(value)}, expected "
                f"{'(K, N)' if dimensions == 2 else '(N,)'} with N={n} candidates. Score exactly the "
                "candidates that are logged."
            )
    if not 0 <= decision.index < n:
        raise LogError(f"{where}: chosen index {decision.index} is outside the {n} candidates.")


def _shared_prefix(previous: Messages, current: Messages) -> int:
    count = 0
    for before, now in zip(previous, current, strict=False):
        if dict(before) != dict(now):
            break
        count += 1
    return count


def _message_row(message: Message, path: str, exact: Exact, where: str) -> Row:
    # Only text roles and contents get a column; parts, tool calls and names travel as JSON in `extra`.
    extra = dict(message)
    row: Row = {
        key: _text(extra.pop(key), f"{path}.{key}", exact) if isinstance(extra.get(key), str) else None
        for key in ("role", "content")
    }
    row["extra"] = _json_text(extra, f"{where}: {path}") if extra else ""
    return row


def _read_message(row: Row) -> dict[str, Any]:
    message = {key: row[key] for key in ("role", "content") if row[key] is not None}
    return {**message, **json.loads(row["extra"] or "{}")}


def _candidate_row(candidate: Candidate, path: str, exact: Exact) -> Row:
    return {
        "text": _text(candidate.text, f"{path}.text", exact),
        "action": None if candidate.action is None else _text(candidate.action, f"{path}.action", exact),
        "error": None if candidate.error is None else _text(candidate.error, f"{path}.error", exact),
        "token_ids": [int(i) for i in candidate.token_ids],
        "token_logprobs": _numbers(candidate.token_logprobs, f"{path}.token_logprobs", exact),
        "count": int(candidate.count),
    }


def _read_candidate(row: Row) -> Candidate:
    return Candidate(
        text=row["text"],
        action=row["action"],
        error=row["error"],
        token_ids=tuple(row["token_ids"]),
        token_logprobs=tuple(row["token_logprobs"]),
        count=row["count"],
    )


def _number(value: float, path: str, exact: Exact) -> float | None:
    value = float(value)
    if math.isfinite(value):
        return value
    exact[path] = str(value)  # "nan", "inf" or "-inf"
    return None


def _numbers(values: Sequence[float] | FloatArray, path: str, exact: Exact) -> list[float | None]:
    return [_number(value, f"{path}.{i}", exact) for i, value in enumerate(values)]


def _text(value: str, path: str, exact: Exact) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate, e.g. from a broken JSON escape in scraped pages
        exact[path] = value
        return value.encode(errors="replace").decode()
    return value


def _restore_exact(row: Row) -> None:
    for path, value in json.loads(row["exact"]).items():
        *parents, last = path.split(".")
        target: Any = row
        for key in parents:
            target = target[int(key) if isinstance(target, list) else key]
        key = int(last) if isinstance(target, list) else last
        target[key] = float(value) if target[key] is None else value


def _json_text(value: Mapping[str, Any], where: str) -> str:
    try:
        return json.dumps(dict(value), default=_plain)
    except (TypeError, ValueError) as error:
        raise LogError(
            f"{where} cannot be stored as JSON ({error}). "
            "Keep text, numbers, booleans, None, lists and dictionaries in it."
        ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return cast(Any, value.tolist())
    raise TypeError(f"{type(value).__name__} value {value!r:.60}")


def _array(values: Any) -> FloatArray:
    return np.asarray(values, dtype=np.float64)
