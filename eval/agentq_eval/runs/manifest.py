"""What an evaluation was meant to do: written once before the first episode, checked on every resume."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from agentq.errors import EvaluationError, LogError

SCHEMA_VERSION = 1
FILE = "run.json"


@dataclass(frozen=True, slots=True)
class PlannedArm:
    """One way to choose: who proposes how many candidates, who values them and who chooses."""

    name: str
    n: int  # candidates per decision
    policy: str
    critic: str | None
    selector: str
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])  # of selector and policy; JSON
    fingerprints: Mapping[str, str] = field(default_factory=dict[str, str])  # hashes of models, template ...

    @property
    def key(self) -> str:
        """The arm in ids and tables: ``name@n``."""
        return f"{self.name}@{self.n}"


@dataclass(frozen=True, slots=True)
class Planned:
    """One episode that has to be played."""

    arm: str
    n: int
    task: str
    seed: int

    @property
    def id(self) -> str:
        """Its id in the log; attempts that infrastructure broke off have ``!1``, ``!2`` ... behind it."""
        return f"{self.arm}@{self.n}|{self.task}#{self.seed}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """The plan of a run. Two runs with equal ``plan_hash`` may be continued by each other."""

    suite: Mapping[str, Any]  # the suite file's content
    environment: Mapping[str, Any]  # id, version, data hash, options
    panel: Mapping[str, Any]  # name and hash
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    arms: tuple[PlannedArm, ...]
    strata: Mapping[str, str] = field(default_factory=dict[str, str])  # by task; {}: one stratum
    title: str = ""

    @property
    def suite_hash(self) -> str:
        """SHA-256 of the suite's content."""
        return _hash(dict(self.suite))

    @property
    def plan_hash(self) -> str:
        """SHA-256 of everything that can move a result."""
        return _hash({key: value for key, value in self._content().items() if key != "title"})

    @property
    def planned(self) -> int:
        """How many episodes there are to play."""
        return len(self.arms) * len(self.tasks) * len(self.seeds)

    def episodes(self) -> Iterator[Planned]:
        """Every episode, arm by arm."""
        for arm in self.arms:
            for task in self.tasks:
                for seed in self.seeds:
                    yield Planned(arm.name, arm.n, task, seed)

    def differences(self, other: Manifest) -> list[str]:
        """Where two plans differ, as ``name: ours != theirs``; [] when either may continue the other."""
        ours, theirs = self._content(), other._content()
        return [
            f"{name}: {_short(ours[name])} != {_short(theirs[name])}"
            for name in ours
            if name != "title" and _hash(ours[name]) != _hash(theirs[name])
        ]

    def write(self, folder: Path) -> None:
        """Write ``run.json``; it appears whole or not at all."""
        hashes = {"suite_hash": self.suite_hash, "plan_hash": self.plan_hash, "planned": self.planned}
        text = json.dumps({"schema_version": SCHEMA_VERSION, **hashes, **self._content()}, indent=1)
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".{FILE}.draft"
        draft.write_text(text + "\n", encoding="utf-8")
        draft.replace(folder / FILE)

    def _content(self) -> dict[str, Any]:
        content = {name: getattr(self, name) for name in self.__slots__}
        content["arms"] = [asdict(arm) for arm in self.arms]
        return json.loads(json.dumps(content, sort_keys=True, allow_nan=False))


def read_manifest(folder: Path) -> Manifest:
    """The plan of the run in ``folder``.

    Raises ``EvaluationError`` where there is none or it is broken, ``LogError`` for a newer version.
    """
    path = folder / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content.pop("schema_version")
        if version > SCHEMA_VERSION:
            raise LogError(
                f"{path} has schema version {version}, this AgentQ reads up to {SCHEMA_VERSION}. "
                "Upgrade with `pip install -U agentq`."
            )
        stored = {name: content.pop(name) for name in ("suite_hash", "plan_hash", "planned")}
        lists = {name: tuple(content[name]) for name in ("tasks", "seeds")}
        fields: dict[str, Any] = {
            **content, **lists, "arms": tuple(PlannedArm(**arm) for arm in content["arms"])
        }  # fmt: skip
        manifest = Manifest(**fields)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EvaluationError(
            f"cannot read {str(path)!r} ({type(error).__name__}: {error}). Expected the folder of a run of "
            "`agentq eval`."
        ) from error
    if manifest.plan_hash != stored["plan_hash"]:
        raise EvaluationError(
            f"{path} does not fit its hash (stored {str(stored['plan_hash'])[:12]}, content "
            f"{manifest.plan_hash[:12]}): it was edited. Restore it, or start a run in another folder."
        )
    return manifest


def _hash(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 200 else f"{text[:200]}... ({_hash(value)[:12]})"
