from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from agentq.critics.base import Scores
from agentq.errors import EvaluationError
from agentq.selectors.base import Selection
from agentq.trajectories import TrajectoryReader
from agentq.types import Decision, Trajectory
from agentq_eval.offline.replay import Mismatch, recompute, replay
from agentq_eval.offline.source import Rule, decision_stream
from agentq_eval.runs.manifest import FILE
from tests.agentq_eval.offline.chain_logs import Table, older, play, write_log


def changed(trajectory: Trajectory, step: int, change: Callable[[Decision], Decision]) -> Trajectory:
    steps = list(trajectory.steps)
    steps[step] = replace(steps[step], decision=change(steps[step].decision))
    return replace(trajectory, steps=tuple(steps))


def test_a_run_replays_identically(run: Path) -> None:
    report = replay(run)
    assert report.identical
    assert (report.episodes, report.decisions, report.same, report.different) == (30, 120, 120, 0)
    assert report.not_replayable == ()
    assert report.draws == report.seeded == report.selectors["softmax"] > 0
    assert "120 of 120 decisions in 30 episodes are bit-identical" in str(report)


def test_the_log_folder_of_a_run_knows_its_plan(run: Path) -> None:
    assert replay(run / "log").identical


@pytest.mark.parametrize("scale", ["none", "max", "std"])
@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_softmax_is_bit_identical_for_any_number_of_candidates(tmp_path: Path, n: int, scale: str) -> None:
    options = {"temperature": 0.07, "scale": scale}
    log = write_log(tmp_path, play("softmax", 20, n=n, critic=Table(), **options))
    assert replay(log, {"softmax": options}).identical


@pytest.mark.parametrize("name", ["first", "majority", "sample", "best_of_n"])
def test_logs_need_no_plan(tmp_path: Path, name: str) -> None:
    report = replay(write_log(tmp_path, play(name, critic=Table())))
    assert report.identical
    assert set(report.selectors) <= {name, "invalid"}


def test_states_without_a_valid_candidate_are_recomputed_too(tmp_path: Path) -> None:
    report = replay(write_log(tmp_path, play("first", 40, n=1)))
    assert report.identical
    assert report.selectors["invalid"] > 0


def test_the_oracle_is_the_best_by_the_logged_values(tmp_path: Path) -> None:
    named = [
        replace(t, steps=tuple(replace(s, decision=replace(s.decision, selector="oracle")) for s in t.steps))
        for t in play("best_of_n", critic=Table())
        if all(step.decision.selector == "best_of_n" for step in t.steps)
    ]
    assert replay(write_log(tmp_path, named)).selectors == {"oracle": 4 * len(named)}
    assert replay(tmp_path).identical


def open_state(trajectories: list[Trajectory]) -> tuple[int, int]:
    """Where at least two candidates are valid."""
    for number, trajectory in enumerate(trajectories):
        for step, logged in enumerate(trajectory.steps):
            if np.isfinite(logged.decision.q).sum() >= 2:
                return number, step
    raise AssertionError


@pytest.mark.parametrize("part", ["index", "probabilities", "draw", "q"])
def test_any_change_of_a_decision_is_listed_with_both_values(tmp_path: Path, part: str) -> None:
    trajectories = play("best_of_n", critic=Table())
    number, step = open_state(trajectories)
    before = trajectories[number].steps[step].decision
    other = next(i for i in range(len(before.q)) if i != before.index and np.isfinite(before.q[i]))

    def change(decision: Decision) -> Decision:
        if part == "index":
            return replace(decision, index=other)
        if part == "draw":
            return replace(decision, draw=0.5)
        if part == "q":
            q = decision.q.copy()
            q[other] = 9.0
            return replace(decision, q=q)
        smaller = np.nextafter(decision.probabilities, 0.0)  # the last bit
        return replace(decision, probabilities=smaller)

    trajectories[number] = changed(trajectories[number], step, change)
    report = replay(write_log(tmp_path, trajectories))
    assert not report.identical
    assert report.different == 1
    assert report.same == report.decisions - 1
    found = {mismatch.part: mismatch for mismatch in report.mismatches}
    assert set(found) == ({"index", "probabilities"} if part == "q" else {part})
    assert {(m.episode, m.step) for m in report.mismatches} == {(f"{trajectories[number].task}#0", step)}
    if part in ("index", "q"):
        assert (found["index"].logged, found["index"].recomputed) == (
            (other, before.index) if part == "index" else (before.index, other)
        )
    assert str(report.mismatches[0]) in str(report)


def test_a_changed_draw_of_a_random_selector_changes_the_choice(tmp_path: Path) -> None:
    trajectories = play("sample", critic=Table())
    number, step = open_state(trajectories)
    index = trajectories[number].steps[step].decision.index
    draw = 0.999999 if index == 0 else 0.0
    trajectories[number] = changed(trajectories[number], step, lambda d: replace(d, draw=draw))
    report = replay(write_log(tmp_path, trajectories))
    assert [mismatch.part for mismatch in report.mismatches] == ["index"]
    assert report.seeded == report.draws - 1


def test_values_that_no_selector_takes_are_a_mismatch(tmp_path: Path) -> None:
    broken = changed(play("best_of_n", 1, critic=Table())[0], 0, lambda d: replace(d, q=d.q * np.nan))
    report = replay(write_log(tmp_path, [broken]))
    assert [mismatch.part for mismatch in report.mismatches] == ["values"]
    assert "check the critic" in str(report)


def test_a_valid_state_that_was_logged_as_invalid_is_a_mismatch(tmp_path: Path) -> None:
    wrong = changed(play("first", 1)[0], 0, lambda d: replace(d, selector="invalid"))
    report = replay(write_log(tmp_path, [wrong]))
    assert not report.identical
    assert "is valid, so a selector had to choose" in str(report)


def test_another_selector_than_the_planned_one_is_a_mismatch(run: Path) -> None:
    shutil.rmtree(run / "log")
    write_log(run / "log", play("best_of_n", 2, critic=Table(), arm="sampled"))
    report = replay(run)
    assert {(m.part, m.logged, m.recomputed) for m in report.mismatches} == {
        ("selector", "best_of_n", "first")
    }


def test_a_log_alone_holds_the_options_of_its_selectors(tmp_path: Path) -> None:
    played = play("softmax", critic=Table(), temperature=0.11, scale="std")
    assert replay(write_log(tmp_path, played)).identical
    assert not replay(tmp_path, {"softmax": {"temperature": 0.12, "scale": "std"}}).identical


def test_older_logs_of_best_of_n_replay(tmp_path: Path) -> None:
    assert replay(write_log(tmp_path, older(play("best_of_n", critic=Table())))).identical


def test_options_that_are_nowhere_are_never_assumed(tmp_path: Path) -> None:
    log = write_log(tmp_path, older(play("softmax", critic=Table())))
    report = replay(log)
    assert not report.identical
    assert report.same + report.not_replayable[0].decisions == report.decisions
    assert "takes options and the log does not hold them" in str(report)
    assert replay(log, {"softmax": {}}).identical
    assert not replay(log, {"softmax": {"temperature": 0.11}}).identical


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"selector": "crystal_ball"}, "selector 'crystal_ball' is unknown"),
        ({"selector": ""}, "names no selector"),
        ({"draw": None}, "no draw in"),
        ({"draw": 1.0}, "no draw in"),
    ],
)
def test_what_cannot_be_checked_is_counted_with_its_reason(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    trajectories = [
        changed(trajectory, 1, lambda decision: replace(decision, **change))  # pyright: ignore[reportArgumentType]
        for trajectory in play("sample", 3)
    ]
    report = replay(write_log(tmp_path, trajectories))
    assert not report.identical
    (group,) = report.not_replayable
    assert reason in group.reason
    assert (group.decisions, group.episode, group.step) == (3, "0#0", 1)
    assert report.same == report.decisions - 3


def test_an_arm_outside_the_plan_is_not_passed(run: Path) -> None:
    shutil.rmtree(run / "log")
    write_log(run / "log", play("first", 1, arm="stranger"))
    assert "arm 'stranger@3' is not in the plan" in str(replay(run))


@dataclass(frozen=True)
class Coin:
    """A selector of someone else: no method ``replay``."""

    name = "coin"

    def select(self, scores: Scores, candidates: object, rng: np.random.Generator) -> Selection:
        draw, n = float(rng.random()), len(scores.q)
        return Selection(np.full(n, 1 / n), min(int(draw * n), n - 1), draw)


def test_a_selector_without_replay_is_checked_with_the_stream_of_the_evaluation() -> None:
    trajectory = play("first", 1)[0]
    rule = Rule("coin", {}, Coin())
    decision = trajectory.steps[0].decision
    expected = Coin().select(Scores.of(decision), decision.candidates, decision_stream(trajectory, 0))
    logged = replace(decision, draw=expected.draw, index=expected.index)
    found = recompute(rule, trajectory, 0, logged)
    assert not hasattr(found, "reason")
    assert "no method `replay`" in str(recompute(rule, trajectory, 0, replace(logged, draw=0.123)))


def test_every_mismatch_is_reported_however_many_are_kept(tmp_path: Path) -> None:
    log = write_log(tmp_path, play("softmax", critic=Table()))
    seen: list[Mismatch] = []
    report = replay(log, {"softmax": {"temperature": 5.0}}, on_mismatch=seen.append, listed=3)
    assert len(report.mismatches) == 3
    assert len(seen) == report.found > 20
    assert "more mismatches" in str(report)


def test_a_torn_tail_is_no_difference_but_damage_is(tmp_path: Path) -> None:
    log = write_log(tmp_path, play("first", 3))
    shard = log / "shard-00000.jsonl"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-30])
    with pytest.warns(match="torn tail"):
        report = replay(log)
    assert report.identical
    assert report.episodes == 2
    shard.write_bytes(whole.replace(b'"task":"0"', b'"task":"7"', 1))
    with pytest.warns(match="damaged log"):
        report = replay(log)
    assert not report.identical
    assert "damaged:" in str(report)


def test_nothing_to_replay_is_an_error(tmp_path: Path, run: Path) -> None:
    with pytest.raises(EvaluationError, match=r"Expected the folder of a run"):
        replay(tmp_path / "nowhere")
    empty = write_log(tmp_path / "empty", [replace(play("first", 1)[0], steps=())])
    with pytest.raises(EvaluationError, match="1 episodes and no decision"):
        replay(empty)
    content = json.loads((run / FILE).read_text())
    content["tasks"] = []
    (run / FILE).write_text(json.dumps(content))
    with pytest.raises(EvaluationError, match="it was edited"):
        replay(run)


def test_replay_reads_and_changes_nothing(run: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    replay(run)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert len(TrajectoryReader(run / "log")) == 30
