"""Logs of inspect_ai: a folder with one EvalLog (JSON, version 2) per arm, for ``inspect view`` and its API.

Written without the package: the JSON format is inspect_ai's documented, stable one, while the package pins a
good part of an environment. A test reads the logs back with the package itself.

What maps: an arm is an eval (``model`` is the policy, the plan's step is the selector), a task is a sample, a
seed is an epoch. A step is the new messages of its state and one assistant message, whose metadata holds every
candidate with its value. Failed episodes and those lost to infrastructure carry an ``error``, the latter no
score; timed-out and truncated ones a ``limit``.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO, cast

from agentq.errors import ConfigError
from agentq.types import Message, Messages, Step, Trajectory
from agentq_eval.episodes import EpisodeResult
from agentq_eval.exports.rows import finite
from agentq_eval.reports.accounting import counted, lost_pairs
from agentq_eval.reports.failures import episode_id
from agentq_eval.runs.manifest import Manifest, PlannedArm
from agentq_eval.runs.reader import RunReader
from agentq_eval.runs.writer import read_sessions
from agentq_eval.statistics import clustered_error

FILE = "inspect"  # a folder
_ROLES = frozenset({"system", "user", "assistant", "tool"})


def write(folder: Path, output: Path, *, steps: bool = False) -> None:
    """Write the folder. Memory: one episode. Raises ``EvaluationError`` where there is no run."""
    if steps:
        raise ConfigError("inspect logs always hold the steps. Leave --steps out.")
    reader = RunReader(folder)
    results = reader.results()
    started = started_at(folder)
    output.mkdir(parents=True, exist_ok=True)
    for arm in reader.manifest.arms:
        ours = [r for r in results if (r.arm, r.n) == (arm.name, arm.n)]
        if ours:
            path = output / file_name(reader.manifest, arm, started)
            with path.open("w", encoding="utf-8") as file:
                _write_log(file, reader, arm, ours, results, started)


def file_name(plan: Manifest, arm: PlannedArm, started: str) -> str:
    """``TIME_TASK_ID.json``, the pattern that inspect_ai lists logs by."""
    time = started.replace(":", "-")
    return f"{time}_{_slug(_task(plan, arm))}_{_identifier(plan.plan_hash, arm.key)}.json"


def started_at(folder: Path) -> str:
    """When the run was first started, in ISO 8601; without a record, when its plan was written."""
    for event in read_sessions(folder):
        if event.get("time"):
            return str(event["time"])
    seconds = (folder / "run.json").stat().st_mtime
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")


def _write_log(
    file: TextIO,
    reader: RunReader,
    arm: PlannedArm,
    ours: Sequence[EpisodeResult],
    results: Sequence[EpisodeResult],
    started: str,
) -> None:
    """One log, its samples one at a time."""
    plan = reader.manifest
    done = len(ours) == len(plan.tasks) * len(plan.seeds)
    head = {
        "version": 2,
        "status": "success" if done else "started",
        "eval": _eval(plan, arm, started, reader.folder),
        "plan": _plan(arm),
        "results": _results(ours, results),
        "stats": {"started_at": started, "completed_at": started, "model_usage": _usage(_model(arm), ours)},
    }
    text = json.dumps(head, ensure_ascii=False, allow_nan=False)
    file.write(text[:-1] + ',"samples":[')
    for number, sample in enumerate(_samples(reader, arm, ours)):
        file.write(",\n" if number else "\n")
        file.write(json.dumps(sample, ensure_ascii=False, allow_nan=False))
    file.write("\n]}\n")


def _eval(plan: Manifest, arm: PlannedArm, started: str, folder: Path) -> dict[str, Any]:
    sessions = [event for event in read_sessions(folder) if event.get("provenance")]
    record = cast(dict[str, Any], sessions[-1]["provenance"]) if sessions else {}
    git = record.get("git")
    return {
        "eval_id": _identifier(plan.plan_hash, arm.key),
        "run_id": _identifier(plan.plan_hash),
        "created": started,
        "task": _task(plan, arm),
        "task_id": _identifier(plan.suite_hash, arm.key),
        "task_version": 0,
        "task_args": {},
        "dataset": {
            "name": str(plan.panel.get("name", "")),
            "samples": len(plan.tasks),
            "sample_ids": list(plan.tasks),
            "shuffled": False,
        },
        "model": _model(arm),
        "model_args": {},
        "config": {"epochs": len(plan.seeds)},
        "packages": {"agentq": record["agentq"]} if record.get("agentq") else {},
        **({"revision": {"type": "git", "origin": "", "commit": str(git["commit"])}} if git else {}),
        "metadata": {
            "suite_hash": plan.suite_hash,
            "plan_hash": plan.plan_hash,
            "panel": dict(plan.panel),
            "environment": dict(plan.environment),
            "fingerprints": dict(arm.fingerprints),
            "seeds": list(plan.seeds),
        },
    }


def _plan(arm: PlannedArm) -> dict[str, Any]:
    params = {"n": arm.n, "critic": arm.critic, "options": dict(arm.options)}
    return {
        "name": arm.key,
        "steps": [{"solver": arm.selector or arm.policy, "params": params}],
        "config": {},
    }


def _results(ours: Sequence[EpisodeResult], results: Sequence[EpisodeResult]) -> dict[str, Any]:
    """Means over the episodes that the report counts."""
    cells: dict[tuple[str, int], list[EpisodeResult]] = {}
    for result in results:
        cells.setdefault((result.arm, result.n), []).append(result)
    kept = counted({(ours[0].arm, ours[0].n): list(ours)}, lost_pairs(cells)).get(
        (ours[0].arm, ours[0].n), []
    )
    scores = [
        _metrics(name, [float(getattr(result, name)) for result in kept], [result.task for result in kept])
        for name in ("score", "success")
    ]
    completed = sum(result.outcome == "finished" for result in ours)
    return {"total_samples": len(ours), "completed_samples": completed, "scores": scores if kept else []}


def _metrics(name: str, values: Sequence[float], tasks: Sequence[str]) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    if values:
        figures = {"mean": sum(values) / len(values), "stderr": clustered_error(values, tasks)}
        for key, value in figures.items():
            if value is not None:
                metrics[key] = {"name": key, "value": value, "params": {}}
    return {"name": name, "scorer": "agentq", "params": {}, "scored_samples": len(values), "metrics": metrics}


def _samples(reader: RunReader, arm: PlannedArm, ours: Sequence[EpisodeResult]) -> Iterator[dict[str, Any]]:
    """Samples in the plan's order of tasks and seeds; episodes are fetched one by one."""
    log = reader.log
    order = {task: index for index, task in enumerate(reader.manifest.tasks)}
    epochs = {seed: index + 1 for index, seed in enumerate(reader.manifest.seeds)}
    for result in sorted(ours, key=lambda r: (epochs[r.seed], order[r.task])):
        name = episode_id(result)
        yield _sample(result, log[name], name, epochs[result.seed], _model(arm))


def _sample(
    result: EpisodeResult, trajectory: Trajectory, name: str, epoch: int, model: str
) -> dict[str, Any]:
    messages = list(_conversation(trajectory.steps, model))
    last = messages[-1] if trajectory.steps else {"role": "assistant", "content": ""}
    first = trajectory.steps[0].messages if trajectory.steps else ()
    lost = result.outcome == "infrastructure"
    sample: dict[str, Any] = {
        "id": result.task,
        "epoch": epoch,
        "input": [_message(message) for message in first] or "",
        "target": "",
        "messages": messages,
        "output": {
            "model": model,
            "choices": [
                {"message": {"role": "assistant", "content": last["content"]}, "stop_reason": "stop"}
            ],
        },
        "scores": None if lost else _scores(result, trajectory),
        "metadata": {
            "episode": name,
            "seed": result.seed,
            "outcome": result.outcome,
            "truncated": result.truncated,
            "attempts": result.attempts,
            "environment": trajectory.environment,
        },
        "store": {},
        "events": [],
        "attachments": {},
        "model_usage": _usage(model, [result]),
        "total_time": result.seconds,
        "working_time": result.seconds,
    }
    if result.outcome in ("failed", "infrastructure"):
        sample["error"] = {"message": result.error, "traceback": result.error, "traceback_ansi": result.error}
    if result.outcome == "timed_out":
        sample["limit"] = {"type": "time", "limit": result.seconds}
    elif result.truncated:
        sample["limit"] = {"type": "custom", "limit": float(result.steps)}
    return sample


def _scores(result: EpisodeResult, trajectory: Trajectory) -> dict[str, Any]:
    answer = trajectory.steps[-1].decision.action if trajectory.steps else ""
    return {
        "score": {"value": result.score, "answer": answer},
        "success": {"value": float(result.success), "answer": answer},
    }


def _conversation(steps: Sequence[Step], model: str) -> Iterator[dict[str, Any]]:
    """What each state adds to the one before, then what the agent said."""
    before: Messages = ()
    for step in steps:
        kept = 0
        for old, new in zip(before, step.messages, strict=False):
            if dict(old) != dict(new):
                break
            kept += 1
        # A state that quotes the agent's last reply would show it twice.
        new_ones = [m for m in step.messages[kept:] if not (before and m.get("role") == "assistant")]
        yield from (_message(message) for message in new_ones)
        yield {
            "role": "assistant",
            "content": step.decision.chosen.text,
            "source": "generate",
            "model": model,
            "metadata": _decision(step),
        }
        before = step.messages


def _decision(step: Step) -> dict[str, Any]:
    decision = step.decision
    return {
        "candidates": [
            {
                "text": candidate.text,
                "action": candidate.action,
                "q": finite(float(decision.q[i])),
                "head_q": None
                if decision.head_q is None
                else [finite(float(q)) for q in decision.head_q[:, i]],
                "probability": finite(float(decision.probabilities[i])),
                "label": None if step.labels is None else finite(float(step.labels[i])),
                "count": candidate.count,
            }
            for i, candidate in enumerate(decision.candidates)
        ],
        "chosen": decision.index,
        "selector": decision.selector,
        "reward": finite(step.reward),
        "timings": {name: finite(float(value)) for name, value in step.timings.items()},
    }


def _message(message: Message) -> dict[str, Any]:
    role = str(message.get("role", "user"))
    content = message.get("content", "")
    if isinstance(content, list | tuple):
        content = [_part(part) for part in cast(Sequence[Any], content)]
    return {"role": role if role in _ROLES else "user", "content": content if content is not None else ""}


def _part(part: Any) -> dict[str, Any]:
    if isinstance(part, Mapping):
        known = cast(Mapping[str, Any], part)
        if isinstance(known.get("text"), str):
            return {"type": "text", "text": known["text"]}
        image = known.get("image", known.get("image_url"))
        if isinstance(image, Mapping):
            image = cast(Mapping[str, Any], image).get("url")
        if isinstance(image, str):
            return {"type": "image", "image": image}
    return {"type": "text", "text": json.dumps(part, ensure_ascii=False, default=str)}


def _usage(model: str, results: Sequence[EpisodeResult]) -> dict[str, Any]:
    return {model: {"input_tokens": 0, "output_tokens": 0, "total_tokens": sum(r.tokens for r in results)}}


def _task(plan: Manifest, arm: PlannedArm) -> str:
    return f"{plan.suite.get('name') or 'agentq'}/{arm.name}-{arm.n}"


def _model(arm: PlannedArm) -> str:
    return f"agentq/{arm.policy}"


def _identifier(*parts: str) -> str:
    """A short, stable id of the kind that inspect_ai makes at random."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:22]


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")
