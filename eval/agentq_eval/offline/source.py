"""A logged run or a bare trajectory log, and the selectors behind its decisions."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from agentq.agent import decision_seed
from agentq.errors import ConfigError, EvaluationError, LogError, SelectorError
from agentq.selectors.base import Selector
from agentq.selectors.registry import load_selector
from agentq.trajectories.reader import TrajectoryReader
from agentq.types import Decision, Trajectory
from agentq_eval.episodes import ORACLE, TREE_SEARCH
from agentq_eval.runs.manifest import FILE, Manifest, PlannedArm, read_manifest
from agentq_eval.runs.reader import LOG

#: Logged where no candidate of a state parsed: the first one's raw text was executed.
INVALID = "invalid"
#: Key in ``Trajectory.metadata`` of a rescored log; it holds the selector and its options.
RESCORED = "rescored"
#: Selectors that took no options in the versions whose logs do not hold options: their defaults are known.
_ONCE_WITHOUT_OPTIONS = frozenset({"best_of_n"})
#: The name of all episodes of a log that has no arms.
NO_ARM = "log"

#: Keyword options by the selector's name.
SelectorOptions = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class LoggedRun:
    """An opened log; ``manifest`` is None where it does not belong to a run."""

    folder: Path
    reader: TrajectoryReader
    manifest: Manifest | None


def open_log(folder: str | Path) -> LoggedRun:
    """Open the folder of a run, its ``log`` folder, or a bare log.

    Raises ``EvaluationError`` where there is none of them or the plan is broken, ``LogError`` for a newer
    version.
    """
    folder = place = Path(folder)
    manifest = None
    if (folder / FILE).is_file():
        manifest, place = read_manifest(folder), folder / LOG
    elif folder.name == LOG and (folder.parent / FILE).is_file():
        manifest = read_manifest(folder.parent)
    try:
        reader = TrajectoryReader(place)
    except LogError as error:
        raise EvaluationError(
            f"nothing to read in {str(folder)!r}: {error} Expected the folder of a run (with {FILE} and "
            f"{LOG}/) or of a trajectory log."
        ) from error
    return LoggedRun(folder, reader, manifest)


def arm_of(trajectory: Trajectory) -> str:
    """``name@n`` of the arm that played, or ``log`` where the log has no arms."""
    about = trajectory.metadata
    return f"{about['arm']}@{about['n']}" if "arm" in about and "n" in about else NO_ARM


def decision_stream(trajectory: Trajectory, step: int) -> np.random.Generator:
    """The random numbers that an evaluation hands to the selector in this step (``agentq.agent.Agent``)."""
    return np.random.default_rng([decision_seed(trajectory.task, trajectory.seed, step), 1])


@dataclass(frozen=True, slots=True)
class Rule:
    """The selector that made a decision."""

    name: str
    options: Mapping[str, Any]
    selector: Selector


@dataclass(frozen=True, slots=True)
class Unknown:
    """Why the selector of a decision cannot be made again, and what would help."""

    reason: str


class SelectorBook:
    """The selectors of a log, with the options they had.

    Options come from ``given`` (by selector name), else from the decision itself, else (logs of earlier
    versions) from a rescored log's metadata, else from the plan of the run. A selector that takes options is
    never assumed to have had its defaults.
    """

    def __init__(self, manifest: Manifest | None, given: SelectorOptions | None = None) -> None:
        self._given = given or {}
        self._arms = None if manifest is None else {arm.key: arm for arm in manifest.arms}
        self._made: dict[str, Rule | Unknown] = {}

    def find(self, trajectory: Trajectory, decision: Decision) -> Rule | Unknown:
        """The selector of a decision as it was in this episode."""
        name, logged = decision.selector, decision.selector_options
        about = cast(Mapping[str, Any], trajectory.metadata.get(RESCORED, {}))
        key = json.dumps([name, arm_of(trajectory), about, logged], sort_keys=True, default=str)
        if key not in self._made:
            self._made[key] = self._make(arm_of(trajectory), name, about, logged)
        return self._made[key]

    def planned(self, trajectory: Trajectory) -> str | None:
        """The selector that the plan names for this episode; None where it names none."""
        arm = (self._arms or {}).get(arm_of(trajectory))
        return arm.selector or None if arm is not None and RESCORED not in trajectory.metadata else None

    def _make(
        self, arm: str, name: str, about: Mapping[str, Any], logged: Mapping[str, Any] | None
    ) -> Rule | Unknown:
        if not name:
            return Unknown("the log names no selector")
        if name == TREE_SEARCH:
            return Unknown("a tree search reads the environment: only playing it again repeats it")
        inner = "best_of_n" if name == ORACLE else name  # of the exact values, which the log holds as q
        options = self._options(arm, name, about, logged)
        if isinstance(options, Unknown):
            return options
        try:
            selector = load_selector(inner, **options or {})
        except (ConfigError, SelectorError) as error:
            return Unknown(f"selector {name!r} cannot be made with options {dict(options or {})}: {error}")
        if options is None and inner not in _ONCE_WITHOUT_OPTIONS and _takes_options(selector):
            return Unknown(
                f"selector {name!r} takes options and the log does not hold them; give them, "
                f"e.g. selectors={{{name!r}: {{...}}}}, or {{}} for its defaults"
            )
        return Rule(inner, dict(options or {}), selector)

    def _options(
        self, arm: str, name: str, about: Mapping[str, Any], logged: Mapping[str, Any] | None
    ) -> Mapping[str, Any] | Unknown | None:
        if name in self._given:
            return self._given[name]
        found: PlannedArm | None = (self._arms or {}).get(arm)
        if self._arms is not None and not about and found is None:
            return Unknown(f"arm {arm!r} is not in the plan of the run")
        if logged is not None:
            return logged
        if about.get("selector") == name:
            return cast(Mapping[str, Any], about["options"])
        # An agent of one's own chooses by what it likes: its selector is not in the plan.
        if about or found is None or not found.selector:
            return None
        return cast(Mapping[str, Any], found.options.get("selector", {}))


def _takes_options(selector: Selector) -> bool:
    return any(field.init for field in dataclasses.fields(cast(Any, selector)))
