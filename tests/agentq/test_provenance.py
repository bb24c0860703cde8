from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

import agentq
from agentq.errors import DataError
from agentq.provenance import collect_provenance, hash_path


def test_record_is_json_and_names_no_path_of_the_machine(tmp_path: Path) -> None:
    data = tmp_path / "items.json"
    data.write_bytes(b"[]")
    argv = [str(tmp_path / "train.py"), "--log", str(tmp_path / "log"), f"--data={data}", "--seed", "3"]
    record = collect_provenance({"catalogue": data}, argv)
    assert json.loads(json.dumps(record)) == record
    assert str(tmp_path) not in json.dumps(record)
    assert record["command"] == ["train.py", "--log", "log", "--data=items.json", "--seed", "3"]
    assert record["files"] == {"catalogue": hashlib.sha256(b"[]").hexdigest()}
    assert record["agentq"] == agentq.__version__
    assert record["packages"]["numpy"]


def test_a_folder_hash_depends_on_names_and_contents_alone(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "x").write_text("1")
        (tmp_path / name / "y").write_text("2")
    assert hash_path(tmp_path / "a") == hash_path(tmp_path / "b")
    (tmp_path / "b" / "y").rename(tmp_path / "b" / "z")
    assert hash_path(tmp_path / "a") != hash_path(tmp_path / "b")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="absent"):
        collect_provenance({"log": tmp_path / "absent"}, [])
