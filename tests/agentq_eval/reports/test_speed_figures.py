from __future__ import annotations

import json
import math

import pytest

from agentq.errors import EvaluationError
from agentq_eval.reports.figures import Figure, print_figures, rounds_in_time

FAST = Figure("steps_per_second", 4000.0, 3000.0, "higher", "26.9 of the reference")
LARGE = Figure("environment_kilobytes", 250.0, 200.0, "lower", "none")
INFORMATION = Figure("import_seconds", 3.0, None, "lower", "none")


def test_a_target_is_reached_from_the_better_side() -> None:
    assert FAST.reached
    assert not LARGE.reached
    assert INFORMATION.reached
    assert "MISSED" in LARGE.line()
    assert "MISSED" not in FAST.line()


def test_json_is_one_object_of_the_figures_with_a_target(capsys: pytest.CaptureFixture[str]) -> None:
    print_figures([FAST, INFORMATION, LARGE], as_json=True)
    out, err = capsys.readouterr()
    figures = json.loads(out)["figures"]
    assert [figure["name"] for figure in figures] == ["steps_per_second", "environment_kilobytes"]
    assert figures[0] == {
        "name": "steps_per_second",
        "value": 4000.0,
        "target": 3000.0,
        "better": "higher",
        "reference": "26.9 of the reference",
    }
    assert "import_seconds" in err


def test_lines_show_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    print_figures([FAST, INFORMATION], as_json=False)
    assert capsys.readouterr().out.count("\n") == 2


def test_a_figure_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        print_figures([Figure("ratio", math.nan, 1.0, "higher", "none")], as_json=True)


def _rounds(count: int, seconds: float, each: float) -> int:
    now, made = [0.0], 0
    for _ in rounds_in_time(count, seconds, 3, lambda: now[0]):
        made += 1
        now[0] += each
    return made


def test_rounds_end_before_their_time_is_over() -> None:
    assert _rounds(10, 1000.0, 5.0) == 10
    assert _rounds(10, 31.0, 5.0) == 6  # 25 s are over and a seventh might end at 36 s
    assert _rounds(1, 1.0, 5.0) == 1


def test_too_few_rounds_give_no_figure() -> None:
    with pytest.raises(EvaluationError, match=r"1 of 10 rounds took 5 s, expected at least 3 in 1 s"):
        _rounds(10, 1.0, 5.0)
