from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from agentq.errors import ConfigError, EvaluationError
from agentq.types import Candidate
from agentq_eval.commands import export as command
from agentq_eval.exports.formats import export, format_names, load_format
from agentq_eval.exports.inspect import _conversation as conversation  # pyright: ignore[reportPrivateUsage]
from agentq_eval.exports.latex import escape
from agentq_eval.reports import write_run_report
from agentq_eval.runs.reader import RunReader


def test_formats_are_the_files_of_the_package() -> None:
    assert {"csv", "inspect", "latex", "parquet"} <= set(format_names())
    assert not {"formats", "rows"} & set(format_names())
    for name in format_names():
        assert callable(load_format(name).write)
    with pytest.raises(ConfigError, match="Did you mean 'parquet'"):
        load_format("parqet")


def test_csv_has_every_episode(troubled_folder: Path, tmp_path: Path) -> None:
    path = export(troubled_folder, "csv", tmp_path / "new" / "table.csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    results = {(r.arm, str(r.n), r.task, str(r.seed)): r for r in RunReader(troubled_folder).results()}
    assert len(rows) == len(results) == 100
    for row in rows:
        result = results[row["arm"], row["n"], row["task"], row["seed"]]
        assert float(row["score"]) == result.score
        assert row["outcome"] == result.outcome
    assert list(tmp_path.rglob(".*")) == []  # no draft is left


def test_csv_of_steps_has_every_candidates_value(run_folder: Path, tmp_path: Path) -> None:
    path = export(run_folder, "csv", tmp_path / "steps.csv", steps=True)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 300
    row = next(row for row in rows if row["n"] == "4")
    q = json.loads(row["q"])
    assert len(q) == 4 == len(json.loads(row["actions"]))
    assert float(row["chosen_q"]) == q[int(row["chosen"])] == max(q)


def test_parquet_is_pandas_in_two_lines(troubled_folder: Path, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed (extra dev)")
    pytest.importorskip("pyarrow", reason="pyarrow is not installed (extra dev)")
    path = export(troubled_folder, "parquet", tmp_path / "episodes.parquet")
    table = pandas.read_parquet(path)
    write_run_report(troubled_folder)
    lines = pandas.read_json(troubled_folder / "episodes.jsonl", lines=True)
    by_arm = table.groupby(["arm", "n"])["score"].mean()
    assert by_arm.equals(lines.groupby(["arm", "n"])["score"].mean())
    assert table["success"].dtype == bool
    steps = pandas.read_parquet(export(troubled_folder, "parquet", tmp_path / "s.parquet", steps=True))
    assert set(steps["episode"]) <= set(table["episode"])
    assert steps["labels"].isna().any()


def test_the_latex_table_has_intervals(run_folder: Path, tmp_path: Path) -> None:
    text = export(run_folder, "latex", tmp_path / "table.tex").read_text()
    assert text.count("\\toprule") == text.count("\\bottomrule") == 1
    body = text.split("\\midrule")[1].split("\\bottomrule")[0].strip().splitlines()
    assert len(body) == 4
    for line in body:
        assert line.count(" & ") == 4
        assert line.endswith("\\\\")
    assert "best of 4 by Q" in body[2]
    assert escape("50% of a_b & \\c {d}~") == r"50\% of a\_b \& \textbackslash{}c \{d\}\textasciitilde{}"
    with pytest.raises(ConfigError, match="latex has no table of steps"):
        export(run_folder, "latex", tmp_path / "steps.tex", steps=True)


def test_nothing_to_export_says_so(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="Expected a folder of a report"):
        export(tmp_path, "csv")
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_into_the_run(
    make_run: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_run()
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert command.run(parser.parse_args([str(folder), "--to", "csv", "--steps"])) == 0
    assert capsys.readouterr().out.strip() == str(folder / "steps.csv")
    assert command.run(parser.parse_args([str(folder), "--to", "inspect"])) == 0
    assert command.run(parser.parse_args([str(folder), "--to", "inspect"])) == 0  # again: replaced
    assert len(list((folder / "inspect").iterdir())) == 5


def test_an_inspect_log_is_json_of_its_format(troubled_folder: Path, tmp_path: Path) -> None:
    folder = export(troubled_folder, "inspect", tmp_path / "logs")
    logs = {log["plan"]["name"]: log for log in (json.loads(path.read_text()) for path in folder.iterdir())}
    assert set(logs) == {"sampled@1", "greedy@1", "best_of_n@2", "best_of_n@4", "oracle@4"}
    log = logs["greedy@1"]
    assert (log["version"], log["status"], len(log["samples"])) == (2, "success", 20)
    lost = next(sample for sample in log["samples"] if sample["id"] == "shop/2")
    assert lost["scores"] is None
    assert lost["error"]["message"] == "decide: ConnectionError: refused"
    timed_out = next(s for s in logs["best_of_n@4"]["samples"] if s["id"] == "shop/1")
    assert timed_out["limit"]["type"] == "time"


def test_a_conversation_says_everything_once() -> None:
    from dataclasses import replace

    import numpy as np

    from agentq.types import Decision, Step

    def step(messages: list[dict[str, Any]], text: str) -> Step:
        decision = Decision((Candidate(text, text),), np.array([-np.inf]), np.array([1.0]), 0)
        return Step(tuple(messages), decision, 0.0, False, False)

    system, first, second = (
        {"role": r, "content": c} for r, c in (("system", "s"), ("user", "1"), ("user", "2"))
    )
    reply = {"role": "assistant", "content": "go"}
    growing = [step([system, first], "go"), step([system, first, reply, second], "stop")]
    replaced = [growing[0], replace(growing[1], messages=(system, second))]
    for steps in (growing, replaced):
        said = list(conversation(steps, "m"))
        assert [one["content"] for one in said] == ["s", "1", "go", "2", "stop"]
        assert said[2]["metadata"]["candidates"][0]["q"] is None  # JSON has no infinities


#: Run by the interpreter that has inspect_ai: the package itself reads the logs and turns one into its own form.
READ_BACK = """
import json, sys
from pathlib import Path
from inspect_ai.log import list_eval_logs, read_eval_log, write_eval_log
folder = Path(sys.argv[1])
found = {}
for info in list_eval_logs(str(folder)):
    log = read_eval_log(info)
    assert read_eval_log(info, header_only=True).eval.model == log.eval.model
    sample = log.samples[4]
    found[log.plan.name] = {
        "task": log.eval.task,
        "status": log.status,
        "mean": log.results.scores[0].metrics["mean"].value,
        "scores": {s.id: s.scores["score"].value for s in log.samples if s.scores},
        "errors": {s.id: s.error.message for s in log.samples if s.error},
        "limits": {s.id: s.limit.type for s in log.samples if s.limit},
        "roles": [message.role for message in sample.messages],
        "candidates": len(sample.messages[-1].metadata["candidates"]),
        "chosen": sample.output.completion,
    }
    write_eval_log(log, str(folder / "own.eval"))
    assert len(read_eval_log(str(folder / "own.eval")).samples) == len(log.samples)
    (folder / "own.eval").unlink()
print(json.dumps(found))
"""


@pytest.mark.slow
def test_inspect_ai_reads_its_logs(troubled_folder: Path, tmp_path: Path) -> None:
    python = sys.executable if find_spec("inspect_ai") else os.environ.get("AGENTQ_INSPECT_PYTHON")
    if not python:
        pytest.skip(
            "inspect_ai is not installed: pip install 'agentq[inspect]', or name the interpreter of an environment "
            "that has it in AGENTQ_INSPECT_PYTHON"
        )
    folder = export(troubled_folder, "inspect", tmp_path / "logs")
    done = subprocess.run(
        [python, "-c", READ_BACK, str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )
    assert done.returncode == 0, done.stderr
    logs = json.loads(done.stdout.splitlines()[-1])
    results = RunReader(troubled_folder).results()
    assert len(logs) == 5
    for arm, log in logs.items():
        ours = [r for r in results if f"{r.arm}@{r.n}" == arm]
        assert log["status"] == "success"
        assert log["scores"] == {r.task: r.score for r in ours if r.outcome != "infrastructure"}
        kept = [r.score for r in ours if r.task != "shop/2"]  # lost in one arm: left out of every mean
        assert log["mean"] == pytest.approx(sum(kept) / len(kept))
        assert log["roles"] == ["system", "user", "assistant", "user", "assistant", "user", "assistant"]
        assert log["candidates"] == int(arm.split("@")[1])
        assert log["chosen"].startswith("Action: press")
    assert logs["greedy@1"]["errors"] == {"shop/2": "decide: ConnectionError: refused"}
    assert logs["best_of_n@4"]["limits"] == {"shop/1": "time"}
