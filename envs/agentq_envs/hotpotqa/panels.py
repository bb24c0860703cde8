"""Frozen lists of questions (panels) for training, validation and test, each with a hash of its content.

``python -m agentq_envs.hotpotqa.panels`` checks the panels of the made world; with ``--write DIR`` it makes them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from agentq.errors import DataError, TaskError
from agentq_envs.hotpotqa.tasks import TaskSet

ENVIRONMENT = "agentq/HotPotQA-v0"
SPLITS = ("train", "validation", "test")
_FOLDER = "panel_files"


@dataclass(frozen=True, slots=True)
class Panel:
    """Task ids of one split. ``data_hash`` covers questions and corpus, so a panel never runs on other data."""

    name: str
    environment: str
    data_hash: str
    tasks: tuple[str, ...]

    @property
    def hash(self) -> str:
        """SHA-256 of everything above, in hex."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def check(self, tasks: TaskSet) -> Panel:
        """The panel itself; raises TaskError when these are not the panel's questions or corpus."""
        if tasks.data_hash != self.data_hash:
            raise TaskError(
                f"panel {self.name!r} belongs to the data {self.data_hash[:12]}, this environment has "
                f"{tasks.data_hash[:12]}. Load the panel's questions and corpus, or make a panel for yours."
            )
        for task in self.tasks:
            tasks.index(task)
        return self


@dataclass(frozen=True, slots=True)
class SplitSizes:
    """How questions are divided; those not named here train."""

    test_tasks: int = 500
    validation_tasks: int = 300
    test_share: float = 0.25  # of the questions
    validation_share: float = 0.15


def load_panel(name: str, tasks: TaskSet | None = None) -> Panel:
    """A panel that ships with the package, or a panel file by its path; its hash is verified.

    With ``tasks`` its data is checked too. Raises TaskError for an unknown name or a hash that does not fit,
    DataError for a broken file.
    """
    resource: Any = (
        Path(name) if name.endswith(".json") else files("agentq_envs.hotpotqa") / _FOLDER / f"{name}.json"
    )
    if not resource.is_file():
        raise TaskError(
            f"unknown panel {name!r}, expected one of {', '.join(panel_names())} or a .json path."
        )
    try:
        record = json.loads(resource.read_text(encoding="utf-8"))
        stored = record.pop("hash")
        panel = Panel(**{**record, "tasks": tuple(record["tasks"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{name} is no panel file ({type(error).__name__}: {error}). Make it again."
        ) from error
    if panel.hash != stored:
        raise TaskError(
            f"panel {name!r} does not fit its hash (stored {str(stored)[:12]}, content {panel.hash[:12]}): it was "
            "changed after it was frozen. Restore the file, or make a new panel under another name."
        )
    return panel if tasks is None else panel.check(tasks)


def panel_names() -> list[str]:
    """Names of the panels that ship with the package."""
    folder = files("agentq_envs.hotpotqa") / _FOLDER
    return sorted(e.name.removesuffix(".json") for e in folder.iterdir() if e.name.endswith(".json"))


def save_panel(panel: Panel, folder: Path) -> Path:
    """Write a panel file and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{panel.name}.json"
    path.write_text(json.dumps({**asdict(panel), "hash": panel.hash}, indent=0) + "\n", encoding="utf-8")
    return path


def make_panels(tasks: TaskSet, prefix: str, sizes: SplitSizes | None = None) -> dict[str, Panel]:
    """Train, validation and test panels that share no supporting page.

    Questions that share one are a family; families go to a split in an order decided by a hash alone.
    """
    sizes = sizes or SplitSizes()
    wanted = {
        "test": sizes.test_share * len(tasks.ids),
        "validation": sizes.validation_share * len(tasks.ids),
    }
    chosen: dict[str, list[str]] = {split: [] for split in SPLITS}
    for family in sorted(_families(tasks), key=lambda family: _order(min(family))):
        split = next((s for s in wanted if len(chosen[s]) + len(family) <= wanted[s]), "train")
        chosen[split] += family
    limits = {"test": sizes.test_tasks, "validation": sizes.validation_tasks, "train": None}
    return {
        split: Panel(
            f"{prefix}-{split}",
            ENVIRONMENT,
            tasks.data_hash,
            tuple(sorted(chosen[split], key=_order)[: limits[split]]),
        )
        for split in SPLITS
    }


def _families(tasks: TaskSet) -> Sequence[Sequence[str]]:
    """Task ids grouped so that questions with a supporting page in common are together."""
    group: dict[str, str] = {}  # title -> another title of its family, in the end the same for all

    def root(title: str) -> str:
        while group.setdefault(title, title) != title:
            title = group[title]
        return title

    for question in tasks.questions:
        titles = [title for title, _ in question.supporting_facts]
        for title in titles[1:]:
            group[root(title)] = root(titles[0])
    families: dict[str, list[str]] = {}
    for task, question in zip(tasks.ids, tasks.questions, strict=True):
        # A question without supporting facts is a family of its own.
        first = root(question.supporting_facts[0][0]) if question.supporting_facts else f"\n{task}"
        families.setdefault(first, []).append(task)
    return list(families.values())


def _order(text: str) -> str:
    return hashlib.sha256(f"panel:{text}".encode()).hexdigest()


def _main() -> None:
    from agentq_envs.hotpotqa.loading import load_tasks

    parser = argparse.ArgumentParser(prog="python -m agentq_envs.hotpotqa.panels", description=__doc__)
    parser.add_argument(
        "--write", type=Path, metavar="DIR", help="write the panels there instead of checking"
    )
    parser.add_argument("--prefix", default="embedded", help="first part of the panel names")
    parser.add_argument("--questions", help="official question file (default: the made world)")
    options = parser.parse_args()
    for panel in make_panels(load_tasks(options.questions), options.prefix).values():
        if options.write is not None:
            save_panel(panel, options.write)
        elif load_panel(panel.name) != panel:
            raise TaskError(
                f"panel {panel.name!r} is not what make_panels gives: the world or the rule has changed."
            )
        print(f"{panel.name}: {len(panel.tasks)} tasks, hash {panel.hash}, data {panel.data_hash[:12]}")


if __name__ == "__main__":
    _main()
