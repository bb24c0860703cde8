from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agentq.types import Candidate, Decision, Step, Trajectory


def trajectory(*rewards_and_infos: tuple[float, dict[str, Any]]) -> Trajectory:
    decision = Decision((Candidate("a", "a"),), np.zeros(1), np.ones(1), 0)
    steps = (Step((), decision, reward, False, False, info) for reward, info in rewards_and_infos)
    return Trajectory("task", 0, tuple(steps))


@pytest.mark.parametrize(
    ("infos", "success"),
    [
        ([{}, {}], False),
        ([{"success": False}, {"success": False}], False),
        ([{"success": False}, {"success": True}], True),
        ([{"success": True}, {"success": False}], True),
        ([{}, {"success": np.bool_(True)}], True),
        ([], False),
    ],
)
def test_success_is_what_the_environment_reported(infos: list[dict[str, Any]], success: bool) -> None:
    assert trajectory(*((0.0, info) for info in infos)).success is success


def test_a_full_score_is_no_success_unless_it_is_reported() -> None:
    assert trajectory((1.0, {})).success is False
    assert trajectory((0.25, {}), (0.5, {})).score == 0.75


def test_an_action_that_does_not_parse_is_executed_as_its_text() -> None:
    parsed, raw = Candidate("Action: a", "a"), Candidate("??", None, "no action")
    decisions = [Decision((parsed, raw), np.zeros(2), np.ones(2) / 2, index) for index in (0, 1)]
    assert [decision.action for decision in decisions] == ["a", "??"]
    assert (parsed.valid, raw.valid) == (True, False)
