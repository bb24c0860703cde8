from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agentq.errors import MissingExtraError
from agentq.training import progress
from agentq.training.progress import bar, tracker_names
from agentq.training.settings import TrainingSettings


class Clock:
    """Seconds that pass when told to."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(progress, "time", clock := Clock())
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):  # rich would take a file for a terminal
        monkeypatch.delenv(name, raising=False)
    return clock


def test_a_log_file_gets_a_line_every_half_minute(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with bar("fit", total=100, done=0, shown=True) as advance:
        for step in range(1, 101):
            clock.now += 1.0
            advance(step, f"loss {step}")
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.splitlines() == [
        "fit 30/100 loss 30, 70 s left",
        "fit 60/100 loss 60, 40 s left",
        "fit 90/100 loss 90, 10 s left",
    ]


def test_time_left_counts_from_where_a_run_was_resumed(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with bar("fit", total=100, done=90, shown=True) as advance:
        clock.now += 60.0
        advance(92, "loss 1")
        clock.now += 29.0
        advance(93, "loss 0")
    assert capsys.readouterr().err == "fit 92/100 loss 1, 240 s left\n"


def test_no_step_done_yet_is_no_division_by_zero(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with bar("fit", total=10, done=4, shown=True) as advance:
        clock.now += 30.0
        advance(4, "starting")
    assert capsys.readouterr().err == "fit 4/10 starting, 180 s left\n"


def test_lines_appear_at_once_in_a_log_file(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (tmp_path / "log").open("w", buffering=1 << 16) as file:
        monkeypatch.setattr(sys, "stderr", file)
        with bar("fit", total=10, done=0, shown=True) as advance:
            clock.now += 30.0
            advance(5, "loss 2")
            assert (tmp_path / "log").read_text() == "fit 5/10 loss 2, 30 s left\n"


def test_nothing_is_shown_when_not_wanted(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with bar("fit", total=10, done=0, shown=False) as advance:
        clock.now += 1000.0
        advance(5, "loss 2")
    written = capsys.readouterr()
    assert (written.out, written.err) == ("", "")


def test_a_tracker_that_is_not_installed_is_named(tmp_path: Path) -> None:
    settings = TrainingSettings(steps=1)
    assert tracker_names(replace(settings, tracker="none"), tmp_path) == []
    assert tracker_names(settings, None) == []
    assert tracker_names(settings, tmp_path) in ([], [settings.tracker])
    assert tracker_names(replace(settings, tracker="json"), tmp_path) == ["json"]  # any module that is there
    with pytest.raises(MissingExtraError, match="tracker='no_such_tracker' is not installed"):
        tracker_names(replace(settings, tracker="no_such_tracker"), tmp_path)
