"""The conformance runner on tiny folders of its own."""

from __future__ import annotations

import gzip
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.comparison import compare
from tests.conformance.runner import Result, each_row, main, run_folder, suite_name

_REPOSITORY = Path(__file__).resolve().parents[2]
_SUITE = """
from tests.conformance.runner import Result, compare, each_row

def explode(rows, data):
    raise RuntimeError("boom")

CHECKS = {
    "double": each_row(lambda row, data: compare(2 * row["x"], row["y"])),
    "explode": explode,
    "lazy": lambda rows, data: Result(passed=1, total=1, failures=[]),
    "inputs": each_row(lambda row, data: [] if (data / row["file"]).exists() else ["absent"]),
}
"""


@pytest.fixture
def suites(tmp_path: Path) -> Path:
    folder = tmp_path / "suites"
    folder.mkdir()
    (folder / "tiny.py").write_text(_SUITE)
    return folder


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny" / "vectors"
    folder.mkdir(parents=True)
    return folder


def write_rows(path: Path, rows: list[Any]) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.name.endswith(".gz") else text)


def test_all_rows_pass(vectors: Path, suites: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(vectors / "double.jsonl", [{"x": 1, "y": 2}, {"x": 2, "y": 4}])
    (vectors / "README.md").write_text("not a vector file")
    assert main([str(vectors)], suites) == 0
    assert capsys.readouterr().out.splitlines() == ["double.jsonl: 2/2", "2 passed, 0 failed"]


def test_failures_are_counted_by_row_and_shown(
    vectors: Path, suites: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_rows(vectors / "double.jsonl", [{"x": 1, "y": 2}, {"id": "odd", "x": 2, "y": 5}, {"x": 1}])
    assert main([str(vectors), "-v"], suites) == 1
    out = capsys.readouterr().out
    assert "double.jsonl: 1/3" in out
    assert "odd: result: got 4, expected 5" in out
    assert "KeyError" in out
    assert out.splitlines()[-1] == "1 passed, 2 failed"


@pytest.mark.parametrize("name", ["double.jsonl.gz", "double.json", "double.json.gz"])
def test_every_file_form(vectors: Path, suites: Path, name: str) -> None:
    rows = [{"x": 1, "y": 2}, {"x": 3, "y": 6}]
    if ".jsonl" in name:
        write_rows(vectors / name, rows)
    else:
        text = json.dumps(rows).encode()
        (vectors / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    (report,) = run_folder(vectors, vectors, suites)
    assert (report.name, report.passed, report.failed) == (name, 2, 0)


def test_json_object_is_one_row(vectors: Path, suites: Path) -> None:
    (vectors / "double.json").write_text('{"x": 1, "y": 2}')
    (report,) = run_folder(vectors, vectors, suites)
    assert (report.passed, report.failed) == (1, 0)


def test_unknown_file_is_one_failure(vectors: Path, suites: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(vectors / "double.jsonl", [{"x": 1, "y": 2}])
    write_rows(vectors / "mystery.jsonl", [{}, {}])
    assert main([str(vectors)], suites) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "1 passed, 1 failed"


def test_unknown_suite_fails_every_file(tmp_path: Path, suites: Path) -> None:
    folder = tmp_path / "nobody"
    folder.mkdir()
    write_rows(folder / "double.jsonl", [{"x": 1, "y": 2}])
    (report,) = run_folder(folder, folder, suites)
    assert (report.passed, report.failed) == (0, 1)


@pytest.mark.parametrize("content", ["raise ValueError('no')", "x = 1", "syntax error here"])
def test_broken_suite_fails_its_files(vectors: Path, suites: Path, content: str) -> None:
    (suites / "tiny.py").write_text(content)
    write_rows(vectors / "double.jsonl", [{"x": 1, "y": 2}])
    (report,) = run_folder(vectors, vectors, suites)
    assert (report.passed, report.failed) == (0, 1)
    assert "cannot be loaded" in report.failures[0]


def test_raising_check_fails_all_rows(vectors: Path, suites: Path) -> None:
    write_rows(vectors / "explode.jsonl", [{}, {}, {}])
    (report,) = run_folder(vectors, vectors, suites)
    assert (report.passed, report.failed) == (0, 3)
    assert "RuntimeError: boom" in report.failures[0]


def test_check_that_skips_rows_does_not_pass_them(vectors: Path, suites: Path) -> None:
    write_rows(vectors / "lazy.jsonl", [{}, {}, {}])
    (report,) = run_folder(vectors, vectors, suites)
    assert (report.passed, report.failed) == (1, 2)


def test_unreadable_rows_are_failures(vectors: Path, suites: Path) -> None:
    (vectors / "double.jsonl").write_bytes(b'{"x": 1, "y": 2}\n{"x": 1, \n\xff\xfe\n[]\n')
    (report,) = run_folder(vectors, vectors, suites)
    assert (report.passed, report.failed) == (1, 3)


@pytest.mark.parametrize(("name", "content"), [("double.jsonl.gz", b"no gzip"), ("double.jsonl", b"\n")])
def test_unreadable_file_is_one_failure(vectors: Path, suites: Path, name: str, content: bytes) -> None:
    (vectors / name).write_bytes(content)
    (report,) = run_folder(vectors, vectors, suites)
    assert (report.passed, report.failed) == (0, 1)


def test_truncated_gzip_is_one_failure(vectors: Path, suites: Path) -> None:
    write_rows(vectors / "double.jsonl.gz", [{"x": i, "y": 2 * i} for i in range(99)])
    whole = (vectors / "double.jsonl.gz").read_bytes()
    (vectors / "double.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    (report,) = run_folder(vectors, vectors, suites)
    assert (report.passed, report.failed) == (0, 1)


def test_inputs_come_from_data(vectors: Path, suites: Path, tmp_path: Path) -> None:
    (tmp_path / "catalogue.json").write_text("[]")
    write_rows(vectors / "inputs.jsonl", [{"file": "catalogue.json"}])
    assert main([str(vectors), "--data", str(tmp_path)], suites) == 0
    assert main([str(vectors), "--data", str(tmp_path / "elsewhere")], suites) == 1


def test_folders_without_vectors(tmp_path: Path, suites: Path) -> None:
    assert main([str(tmp_path / "absent")], suites) == 2
    assert main([str(suites)], suites) == 1  # nothing ran, so nothing is proven


def test_suite_name() -> None:
    assert suite_name(Path("/a/webshop/vectors")) == "webshop"
    assert suite_name(Path("/a/webshop")) == "webshop"


def test_machinery_is_no_suite(tmp_path: Path) -> None:
    folder = tmp_path / "runner"
    folder.mkdir()
    write_rows(folder / "x.jsonl", [{}])
    (report,) = run_folder(folder, folder)
    assert report.failed == 1


def test_runs_as_a_module_from_the_repository(tmp_path: Path) -> None:
    folder = tmp_path / "nobody"
    folder.mkdir()
    write_rows(folder / "x.jsonl", [{}])
    command = [sys.executable, "-m", "tests.conformance", str(folder)]
    done = subprocess.run(command, cwd=_REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "0 passed, 1 failed"


def test_each_row_survives_rows_of_any_type() -> None:
    result = each_row(lambda row, data: compare(row["x"], 1))([1, None, "x", {"x": 1}], Path())
    assert isinstance(result, Result)
    assert (result.passed, result.total, len(result.failures)) == (1, 4, 3)


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (1.0 + 1e-10, 1.0),
        (1, 1.0),
        (math.nan, math.nan),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        ({"a": [1, (2.0,)]}, {"a": [1, [2]]}),
        ("inf", "inf"),
        (None, None),
    ],
)
def test_compare_accepts(got: object, want: object) -> None:
    assert compare(got, want) == []


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (1.1, 1.0),
        (math.nan, 1.0),
        (1.0, math.nan),
        (math.inf, -math.inf),
        (1e300, math.inf),
        (True, 1),
        (1, True),
        ("1", 1),
        (None, 0),
        ([1, 2], [1, 2, 3]),
        ("ab", ["a", "b"]),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1, "b": 2}, {"a": 1}),
        (3, {"a": 1}),
    ],
)
def test_compare_refuses(got: object, want: object) -> None:
    assert len(compare(got, want)) == 1


def test_compare_uses_the_looser_tolerance() -> None:
    assert compare(1000.5, 1000.0, absolute=1e-9, relative=1e-3) == []
    assert compare(0.0005, 0.0, absolute=1e-3, relative=1e-9) == []
    assert compare(1000.5, 1000.0, absolute=1e-3, relative=1e-9) != []
