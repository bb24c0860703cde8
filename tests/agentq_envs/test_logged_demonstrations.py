from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from agentq.trajectories import TrajectoryReader, TrajectoryWriter
from agentq.types import Candidate, Decision, Step, Trajectory
from agentq_envs.logged_demonstrations import answers_about, logged_demonstrations

NAN = float("nan")


def step(number: int, actions: Sequence[str | None], labels: Sequence[float] | None) -> Step:
    candidates = tuple(Candidate(str(action), action, None if action else "no action") for action in actions)
    decision = Decision(candidates, np.zeros(len(actions)), np.ones(len(actions)) / len(actions), 0)
    page = ({"role": "user", "content": f"page {number}"},)
    return Step(page, decision, 0.0, False, False, labels=None if labels is None else np.array(labels))


@pytest.fixture
def log(tmp_path: Path) -> TrajectoryReader:
    steps = (
        step(0, ["a", None, "b", "a"], [0.5, NAN, 1.0, 0.5]),
        step(1, ["a", "b"], [0.25, 0.25]),
        step(2, ["a", "b"], None),
        step(4, ["a", "b"], [0.0, 0.0]),  # lost
    )
    with TrajectoryWriter(tmp_path / "log") as writer:
        writer.write(Trajectory("t0", 0, steps))
        writer.write(Trajectory("t1", 0, (step(3, ["c"], [1.0]),)))
    return TrajectoryReader(tmp_path / "log")


def test_labelled_candidates_become_alternatives(log: TrajectoryReader) -> None:
    found = list(logged_demonstrations(log, keep=1.0, seed=0))
    assert [(task, [(a.action, a.value) for a in shown.alternatives]) for task, shown in found] == [
        ("t0", [("a", 0.5), ("b", 1.0)]),  # the text that does not parse has no label
        ("t0", [("a", 0.25), ("b", 0.25)]),
        ("t1", [("c", 1.0)]),
    ]
    assert found[0][1].messages[0]["content"] == "page 0"


def test_a_share_of_the_steps_is_drawn_by_the_seed(log: TrajectoryReader) -> None:
    def pages(seed: int) -> list[str]:
        return [str(s.messages[0]["content"]) for _, s in logged_demonstrations(log, 0.5, seed)]

    assert pages(1) == pages(1)
    assert {tuple(pages(seed)) for seed in range(20)} > {("page 0", "page 1", "page 3"), ()}


def test_the_best_of_a_state_is_asked_for_where_values_differ(log: TrajectoryReader) -> None:
    shown = [s for _, s in logged_demonstrations(log, 1.0, 0)]
    rng = random.Random(0)
    assert [answers_about(shown[0], a, rng)[1:] for a in shown[0].alternatives] == [[" no"], [" yes"]]
    assert answers_about(shown[0], shown[0].alternatives[1], rng)[0] == "9"
    assert [answers_about(shown[1], a, rng)[1:] for a in shown[1].alternatives] == [[], []]
    assert answers_about(shown[2], shown[2].alternatives[0], rng) == ["9"]
