"""Two runs against each other: the same arms (or renamed ones) on the tasks that both played."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from agentq.errors import EvaluationError
from agentq_eval.episodes import Cells, EpisodeResult, group
from agentq_eval.reports.accounting import counted, lost_pairs
from agentq_eval.reports.cohort import Cohort, Shared
from agentq_eval.reports.contrasts import won_lost
from agentq_eval.reports.files import results_of, run_metadata
from agentq_eval.reports.settings import ArmKey, Report, ReportSettings, key_text, limits
from agentq_eval.runs.manifest import FILE, Manifest, read_manifest
from agentq_eval.statistics import detectable_difference, holm, mcnemar, wilcoxon

SCHEMA_VERSION = 1
POWER = 0.8


@dataclass(frozen=True, slots=True)
class RunSide:
    """One of the two runs."""

    folder: str  # name of the folder, without the machine's path
    title: str
    panel: str  # hash; "": unknown, the folder has no plan
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]


def compare_runs(
    first: Path,
    second: Path,
    arms: Sequence[str] = (),
    settings: ReportSettings | None = None,
    examples: int = 10,
) -> Report:
    """``second`` minus ``first``, arm by arm, on the (task, seed) pairs that both runs have.

    Arms are matched by ``name@n``; ``arms`` names pairs as ``a:b`` instead (``name`` alone will do where it
    was played with one N). ``panel.same`` is False, and ``notices`` says so, when the runs do not have the
    same tasks. Episodes that infrastructure lost in either run are left out. Raises ``EvaluationError`` when
    no arm or no task is in both.
    """
    settings = settings or ReportSettings()
    cells = [_cells(folder) for folder in (first, second)]
    sides = [_side(folder, played) for folder, played in zip((first, second), cells, strict=True)]
    matched = match_arms(cells[0], cells[1], arms)
    panel = _panel(*sides)
    rows = [_arm(cells, a, b, settings, examples) for a, b in matched]
    for test in ("mcnemar_p", "wilcoxon_p"):
        for row, corrected in zip(rows, holm([row[test] for row in rows]), strict=True):
            row[f"{test}_holm"] = corrected
    return {
        "schema_version": SCHEMA_VERSION,
        "runs": [{**asdict(side), "tasks": len(side.tasks), "seeds": list(side.seeds)} for side in sides],
        "panel": panel,
        "arms": rows,
        "unmatched": [
            [key_text(key) for key in played if key not in {pair[i] for pair in matched}]
            for i, played in enumerate(cells)
        ],
        "confidence": settings.confidence,
        "power": POWER,
        "provenance": provenance_differences(first, second),
        "notices": _notices(panel, rows),
    }


def match_arms(first: Cells, second: Cells, arms: Sequence[str] = ()) -> list[tuple[ArmKey, ArmKey]]:
    """Which arms are compared: those named, else all that both runs have under the same ``name@n``."""
    if arms:
        return [
            (find_arm(first, a), find_arm(second, b or a))
            for a, _, b in (pair.partition(":") for pair in arms)
        ]
    both = [(key, key) for key in first if key in second]
    if not both:
        raise EvaluationError(
            f"no arm is in both runs: the first has {_names(first)}, the second {_names(second)}. "
            "Say which belong together with --arms a:b."
        )
    return both


def find_arm(cells: Cells, text: str) -> ArmKey:
    """The arm called ``name@n``, or ``name`` where it was played with one N."""
    found = [key for key in cells if text in (key_text(key), key[0])]
    if len(found) != 1:
        problem = "was played with several N" if found else "is not in the run"
        raise EvaluationError(f"the arm {text!r} {problem}: it has {_names(cells)}. Name one as name@n.")
    return found[0]


def provenance_differences(first: Path, second: Path) -> list[Report]:
    """Where two runs come from different things: ``{name, first, second}``, sorted by name; [] for equals."""
    ours, theirs = (_flat(_provenance(folder)) for folder in (first, second))
    return [
        {"name": name, "first": ours.get(name), "second": theirs.get(name)}
        for name in sorted({*ours, *theirs})
        if ours.get(name) != theirs.get(name)
    ]


def _cells(folder: Path) -> Cells:
    cells = group(results_of(folder))
    kept = counted(cells, lost_pairs(cells))
    if not kept:
        raise EvaluationError(f"{folder}: infrastructure lost every episode. Run it again; they are retried.")
    return kept


def _side(folder: Path, cells: Cells) -> RunSide:
    name = folder.resolve().name
    if not (folder / FILE).exists():
        episodes = [result for cell in cells.values() for result in cell]
        tasks, seeds = {result.task for result in episodes}, {result.seed for result in episodes}
        return RunSide(name, name, "", tuple(sorted(tasks)), tuple(sorted(seeds)))
    plan: Manifest = read_manifest(folder)
    return RunSide(name, plan.title or name, str(plan.panel.get("hash", "")), plan.tasks, plan.seeds)


def _panel(first: RunSide, second: RunSide) -> Report:
    ours, theirs = set(first.tasks), set(second.tasks)
    return {
        "same": ours == theirs and first.panel == second.panel and set(first.seeds) == set(second.seeds),
        "shared_tasks": len(ours & theirs),
        "only_first": len(ours - theirs),
        "only_second": len(theirs - ours),
        "same_hash": first.panel == second.panel,
        "shared_seeds": sorted(set(first.seeds) & set(second.seeds)),
    }


def _arm(
    cells: Sequence[Cells], first: ArmKey, second: ArmKey, settings: ReportSettings, examples: int
) -> Report:
    # Both arms as cells of one cohort: their names may be the same, so they get the run as a prefix.
    a, b = (f"first {key_text(first)}", first[1]), (f"second {key_text(second)}", second[1])
    shared = Cohort({a: cells[0][first], b: cells[1][second]}, settings).shared(b, a)
    if shared is None:
        raise EvaluationError(
            f"{key_text(first)} and {key_text(second)} have no task and seed in common: nothing can be compared."
        )
    ours, base = shared.scores(0), shared.scores(1)
    score, success = (
        shared.bootstrap.difference(ours, base),
        shared.bootstrap.difference(shared.successes(0), shared.successes(1)),
    )
    means = [shared.bootstrap.score(base), shared.bootstrap.score(ours)]
    differences = [x - y for x, y in zip(ours, base, strict=True)]
    return {
        "first": key_text(first),
        "second": key_text(second),
        "episodes": len(ours),
        "tasks": shared.bootstrap.tasks,
        "scores": [{"mean": mean.value, **limits(mean)} for mean in means],
        "score": {"difference": score.value, **limits(score)},
        "success": {"difference": success.value, **limits(success)},
        "mcnemar_p": mcnemar(shared.successes(0), shared.successes(1)).p,
        "wilcoxon_p": wilcoxon(ours, base),
        "minimum_detectable": detectable_difference(
            differences, shared.tasks, POWER, 1 - settings.confidence
        ),
        **won_lost(ours, base),
        "most_different": _most_different(shared, examples),
    }


def _most_different(shared: Shared, count: int) -> list[Report]:
    pairs = [(b, a) for b, a in zip(*shared.cells, strict=True) if a.score != b.score]
    pairs.sort(key=lambda pair: (-abs(pair[0].score - pair[1].score), pair[0].task, pair[0].seed))
    return [_episode(a, b) for b, a in pairs[:count]]


def _episode(first: EpisodeResult, second: EpisodeResult) -> Report:
    return {
        "task": first.task,
        "seed": first.seed,
        "first": first.score,
        "second": second.score,
        "difference": second.score - first.score,
    }


def _notices(panel: Report, rows: Sequence[Report]) -> list[str]:
    found: list[str] = []
    if panel["only_first"] or panel["only_second"]:
        found.append(
            f"DIFFERENT TASKS: only the {panel['shared_tasks']} shared ones are compared; {panel['only_first']} are in "
            f"the first run only, {panel['only_second']} in the second only."
        )
    elif not panel["same_hash"]:
        found.append(
            "DIFFERENT PANELS: the task ids are the same, but the panels' hashes are not. The tasks behind the "
            "ids may differ."
        )
    elif not panel["same"]:
        found.append(f"DIFFERENT SEEDS: only the shared ones are compared ({panel['shared_seeds']}).")
    equal = [row["second"] for row in rows if not row["won"] and not row["lost"]]
    if equal:
        found.append(f"Every episode scored the same in both runs: {', '.join(equal)}.")
    for row in rows:
        if row["second"] in equal:
            continue
        least, difference = row["minimum_detectable"], row["score"]["difference"]
        if least is None:
            found.append(f"{row['second']}: one shared task gives no interval and no test.")
        elif row["score"]["low"] is not None and row["score"]["low"] <= 0 <= (row["score"]["high"] or 0):
            found.append(
                f"{row['second']}: {difference:+.3f} is not told apart from none; {row['tasks']} tasks show "
                f"{least:.3f} with {POWER:.0%} power."
            )
    return found


def _provenance(folder: Path) -> Mapping[str, Any]:
    if not (folder / FILE).exists():
        return {}
    plan = read_manifest(folder)
    about = run_metadata(plan, folder)
    sessions = about["sessions"]
    record = cast(dict[str, Any], sessions[-1].get("provenance") or {}) if sessions else {}
    return {
        "suite hash": about["suite_hash"],
        "suite": dict(plan.suite),
        "panel": about["panel"],
        "environment": about["environment"],
        "arms": {f"{arm['name']}@{arm['n']}": {**arm, "name": None, "n": None} for arm in about["arms"]},
        **{name: value for name, value in record.items() if name != "command"},
    }


def _flat(value: Any, name: str = "") -> dict[str, str]:
    if isinstance(value, Mapping):
        parts = cast(Mapping[str, Any], value)
        return {
            key: text
            for part, inner in parts.items()
            for key, text in _flat(inner, f"{name}.{part}" if name else str(part)).items()
        }
    return {} if value is None else {name: str(value)}


def _names(cells: Cells) -> str:
    return ", ".join(key_text(key) for key in cells)
