from __future__ import annotations

import sys
from pathlib import Path

import pytest

import agentq
import agentq.commands
from agentq.cli import find_commands, main


def test_version_and_help_name_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"agentq {agentq.__version__}\n"
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert {"doctor", "log"} <= set(find_commands())
    assert all(name in text for name in find_commands())


def test_doctor_prints_versions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    assert f"agentq {agentq.__version__}" in capsys.readouterr().out


def test_a_new_file_is_a_new_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "greet.py").write_text(
        "HELP = 'greet'\n"
        "def add_arguments(parser): parser.add_argument('who')\n"
        "def run(arguments):\n    print('hello', arguments.who)\n    return 3\n"
    )
    monkeypatch.setattr(agentq.commands, "__path__", [*agentq.commands.__path__, str(tmp_path)])
    assert main(["greet", "you"]) == 3
    assert capsys.readouterr().out == "hello you\n"
    sys.modules.pop("agentq.commands.greet")


def test_an_error_is_one_line_and_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["log", "show", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("agentq: error: no trajectory log in ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
