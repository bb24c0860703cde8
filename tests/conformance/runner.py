"""Finds the suite of a folder of vector files, runs its checks and reports rows passed and failed."""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from tests.conformance.comparison import close, compare

__all__ = ["Check", "FileReport", "Result", "close", "compare", "each_row", "main", "run_folder"]

_SUITES = Path(__file__).resolve().parent
_DATA = _SUITES.parents[2] / "shared" / "data"
_SUFFIXES = (".jsonl.gz", ".json.gz", ".jsonl", ".json")
_MACHINERY = ("__init__", "__main__", "runner", "comparison")


@dataclass(frozen=True, slots=True)
class Result:
    """What a check found in one file: rows passed, rows seen, and one line per failure."""

    passed: int
    total: int
    failures: list[str]


#: ``check(rows, data)``: the parsed rows of one file and the folder holding catalogues and other inputs.
Check: TypeAlias = Callable[[list[Any], Path], Result]


@dataclass(frozen=True, slots=True)
class FileReport:
    """The outcome of one vector file; ``failed`` includes rows that could not be read."""

    name: str
    passed: int
    failed: int
    failures: list[str]


def each_row(verify: Callable[[Any, Path], Sequence[str]]) -> Check:
    """Make a check of a function that returns the differences of one row (none: passed).

    A row that raises is one failed row with the exception as its failure; the others still run.
    """

    def check(rows: list[Any], data: Path) -> Result:
        passed, failures = 0, []
        for index, row in enumerate(rows):
            label = row.get("id", index) if isinstance(row, Mapping) else index
            try:
                differences = list(verify(row, data))
            except Exception as error:  # noqa: BLE001 - any defect of one row must not hide the others
                differences = [f"{type(error).__name__}: {error}"]
            passed += not differences
            failures += [f"{label}: {line}" for line in differences]
        return Result(passed=passed, total=len(rows), failures=failures)

    return check


def stem(path: Path) -> str | None:
    """The name a suite knows a vector file by; None for a file of another kind."""
    for suffix in _SUFFIXES:
        if path.name.endswith(suffix):
            return path.name.removesuffix(suffix)
    return None


def suite_name(folder: Path) -> str:
    """The folder's name, or its parent's when the folder is called ``vectors``."""
    folder = folder.resolve()
    return folder.parent.name if folder.name == "vectors" else folder.name


def load_checks(suite: str, suites: Path = _SUITES) -> dict[str, Check]:
    """The ``CHECKS`` of ``suites/<suite>.py``; empty when there is no such file."""
    path = suites / f"{suite}.py"
    if suite in _MACHINERY or not path.is_file():
        return {}
    return dict(_import_suite(suite, path).CHECKS)


def _import_suite(suite: str, path: Path) -> ModuleType:
    name = f"tests.conformance.{suite}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses of the suite look their module up
    spec.loader.exec_module(module)
    return module


def read_rows(path: Path) -> tuple[list[Any], list[str]]:
    """The rows of a vector file and one line per row that is no JSON.

    A .json file that holds a list has one row per entry, any other .json file is one row.
    """
    content = path.read_bytes()
    if path.name.endswith(".gz"):
        content = gzip.decompress(content)
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        return _read_lines(content)
    try:
        value = json.loads(content)
    except ValueError as error:
        return [], [f"not readable as JSON: {error}"]
    return (value if isinstance(value, list) else [value]), []


def _read_lines(content: bytes) -> tuple[list[Any], list[str]]:
    rows: list[Any] = []
    broken: list[str] = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            broken.append(f"line {number}: not readable as JSON: {error}")
    return rows, broken


def run_file(path: Path, check: Check | None, data: Path) -> FileReport:
    """Run one file's check; whatever goes wrong becomes failed rows, never an exception."""
    if check is None:
        return FileReport(path.name, 0, 1, ["no check is known for this file"])
    try:
        rows, broken = read_rows(path)
    except (OSError, EOFError, zlib.error) as error:
        return FileReport(path.name, 0, 1, [f"unreadable: {error}"])
    if not rows:
        return FileReport(path.name, 0, max(1, len(broken)), broken or ["the file has no rows"])
    try:
        result = check(rows, data)
    except Exception as error:  # noqa: BLE001 - a check is third-party code to the runner
        line = f"the check raised {type(error).__name__}: {error}"
        return FileReport(path.name, 0, len(rows) + len(broken), [*broken, line])
    # A check that looked at fewer rows than the file has did not pass the others.
    failed = max(result.total, len(rows)) - result.passed + len(broken)
    skipped = len(rows) - result.total
    notes = [f"the check left out {skipped} of {len(rows)} rows"] if skipped > 0 else []
    return FileReport(path.name, result.passed, failed, [*broken, *notes, *result.failures])


def run_folder(folder: Path, data: Path, suites: Path = _SUITES) -> Iterator[FileReport]:
    """Run every vector file of a folder in name order, one report each."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and stem(path) is not None)
    suite = suite_name(folder)
    try:
        checks = load_checks(suite, suites)
    except Exception as error:  # noqa: BLE001 - a suite that cannot be imported fails its files
        line = f"suite {suite!r} cannot be loaded: {type(error).__name__}: {error}"
        yield from (FileReport(path.name, 0, 1, [line]) for path in files)
        return
    for path in files:
        yield run_file(path, checks.get(stem(path) or ""), data)


def main(arguments: Sequence[str], suites: Path = _SUITES) -> int:
    """Print one line per file and the totals; 0 when every row passed, 1 when not, 2 for a bad command."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of vector files; its name chooses the suite")
    parser.add_argument(
        "--data", type=Path, default=_DATA, help="folder with the inputs that vectors refer to"
    )
    parser.add_argument("-v", "--verbose", action="count", default=0, help="show failures (-vv: all of them)")
    options = parser.parse_args(list(arguments))
    if not options.folder.is_dir():
        print(f"{options.folder} is no folder; give the folder that holds the vector files", file=sys.stderr)
        return 2
    passed = failed = 0
    for report in run_folder(options.folder, options.data, suites):
        passed, failed = passed + report.passed, failed + report.failed
        _print_report(report, options.verbose)
    if passed + failed == 0:
        print(f"{options.folder} holds no .json or .jsonl file (.gz allowed)", file=sys.stderr)
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


def _print_report(report: FileReport, verbose: int) -> None:
    total = report.passed + report.failed
    reason = f"  ({report.failures[0]})" if report.failed and not report.passed and report.failures else ""
    print(f"{report.name}: {report.passed}/{total}{reason}", flush=True)
    if verbose:
        shown = report.failures if verbose > 1 else report.failures[:5]
        for line in shown:
            print(f"    {line}")
        if len(shown) < len(report.failures):
            print(f"    ... and {len(report.failures) - len(shown)} more (-vv shows all)")
