"""Hanging, dying, raising and disconnecting: each is an outcome of its own, and nothing else is harmed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agentq.errors import EvaluationError, InfrastructureError
from agentq_eval.running.failures import Failures
from agentq_eval.running.run import RunSettings
from agentq_eval.runs.reader import RunReader
from agentq_eval.runs.writer import read_sessions
from agentq_eval.suites.suite import ArmSpec, PanelSpec, Suite, Timeouts

Playing = Callable[..., RunReader]
RUNNERS = [RunSettings("thread", 1, 16, progress=False), RunSettings("process", 2, 16, progress=False)]


def others_are_untouched(run: RunReader, sane: RunReader, task: str) -> None:
    """All episodes but the task's are those of a run in which nothing happened."""

    def figures(reader: RunReader) -> dict[str, tuple[float, int, str, int]]:
        return {r.task: (r.score, r.steps, r.outcome, r.attempts) for r in reader.results() if r.task != task}

    assert figures(run) == figures(sane)
    assert len(figures(run)) == 11


@pytest.mark.parametrize("settings", RUNNERS, ids=lambda s: s.runner)
@pytest.mark.parametrize("role", ["environment", "agent"])
def test_a_call_that_hangs_is_a_time_out_of_its_episode_alone(
    misbehaving: Callable[..., Suite], playing: Playing, tmp_path: Path, role: str, settings: RunSettings
) -> None:
    sane = playing(misbehaving(), tmp_path / "sane")
    suite = replace(misbehaving(**{role: "hang:t4"}), timeouts=Timeouts(step=1.0))
    began = time.monotonic()
    run = playing(suite, tmp_path / "run", settings)
    assert time.monotonic() - began < 40
    (hung,) = [r for r in run.results() if r.task == "t4"]
    assert hung.outcome == "timed_out"
    assert hung.attempts == 1
    assert "no answer within 1 s" in hung.error
    assert hung.steps == 2  # as far as it went
    others_are_untouched(run, sane, "t4")


def test_a_plan_of_many_calls_may_take_longer_than_one_call(
    suite: Suite, playing: Playing, tmp_path: Path
) -> None:
    search = ArmSpec("search", "tree_search", {"iterations": 50, "early_stop": False}, n=(2,))
    slow = replace(suite.policy, options={"seconds": 0.02})
    suite = replace(
        suite, policy=slow, panel=PanelSpec(tasks=("t0",)), arms=(search,), timeouts=Timeouts(step=1.0)
    )
    run = playing(replace(suite, seeds=(0,)), tmp_path)
    (result,) = run.results()
    assert result.outcome == "finished"
    (trajectory,) = [episode.trajectory for episode in run.log]
    assert trajectory.steps[0].timings["decide"] > 1.0


@pytest.mark.parametrize("role", ["environment", "agent"])
def test_an_episode_that_kills_its_worker_is_found(
    misbehaving: Callable[..., Suite], playing: Playing, tmp_path: Path, role: str
) -> None:
    sane = playing(misbehaving(), tmp_path / "sane")
    suite = misbehaving(**{role: "die:t4"})
    run = playing(suite, tmp_path / "run", RUNNERS[1])
    (lost,) = [r for r in run.results() if r.task == "t4"]
    assert lost.outcome == "infrastructure"
    assert lost.attempts == 1 + suite.retries
    assert "its worker died" in lost.error
    others_are_untouched(run, sane, "t4")
    assert [e["event"] for e in read_sessions(tmp_path / "run")].count("worker died") >= 3


@pytest.mark.parametrize("role", ["environment", "agent"])
def test_an_error_is_a_failure_and_is_never_tried_again(
    misbehaving: Callable[..., Suite], playing: Playing, tmp_path: Path, role: str
) -> None:
    sane = playing(misbehaving(), tmp_path / "sane")
    run = playing(misbehaving(**{role: "raise:t4"}), tmp_path / "run")
    (failed,) = [r for r in run.results() if r.task == "t4"]
    assert (failed.outcome, failed.attempts, failed.score, failed.steps) == ("failed", 1, 0.0, 2)
    assert "ValueError: the corridor caved in" in failed.error
    others_are_untouched(run, sane, "t4")


def test_a_lost_connection_is_tried_again_and_every_attempt_is_kept(
    misbehaving: Callable[..., Suite], playing: Playing, tmp_path: Path
) -> None:
    sane = playing(misbehaving(), tmp_path / "sane")
    run = playing(misbehaving(environment=f"disconnect@{tmp_path / 'tries'}:t4"), tmp_path / "run")
    (back,) = [r for r in run.results() if r.task == "t4"]
    expected = next(r for r in sane.results() if r.task == "t4")
    assert (back.outcome, back.attempts, back.score) == ("finished", 3, expected.score)
    lost = [(r.task, r.attempts, r.steps) for r, _ in run.attempts() if r.outcome == "infrastructure"]
    assert lost == [("t4", 1, 2), ("t4", 2, 2)]
    assert {"sampled@1|t4#0!1", "sampled@1|t4#0!2", "sampled@1|t4#0"} <= set(run.log.ids)
    others_are_untouched(run, sane, "t4")


def test_what_infrastructure_lost_is_tried_again_by_the_next_start(
    misbehaving: Callable[..., Suite], playing: Playing, tmp_path: Path
) -> None:
    suite = replace(misbehaving(environment=f"disconnect@{tmp_path / 'tries'}:t4"), retries=0)
    for attempt in (1, 2):
        run = playing(suite, tmp_path / "run")
        assert Counter(r.outcome for r in run.results()) == {"finished": 11, "infrastructure": 1}
        assert max(r.attempts for r in run.results()) == attempt
    run = playing(suite, tmp_path / "run")
    assert Counter(r.outcome for r in run.results()) == {"finished": 12}
    assert max(r.attempts for r in run.results()) == 3


def test_a_run_in_which_workers_keep_dying_stops_and_can_go_on(
    misbehaving: Callable[..., Suite], playing: Playing, tmp_path: Path
) -> None:
    suite = misbehaving(environment="die:t4")
    with pytest.raises(EvaluationError, match=r"workers died 2 times.*run the same command\s+again"):
        playing(suite, tmp_path, RunSettings("process", 1, 16, progress=False, deaths=1))
    run = playing(suite, tmp_path, RunSettings("process", 1, 16, progress=False))
    assert Counter(r.outcome for r in run.results()) == {"finished": 11, "infrastructure": 1}


def test_only_infrastructure_is_infrastructure() -> None:
    class Refused(ConnectionRefusedError):
        pass

    class Transport(Exception):
        pass

    Transport.__module__ = "httpx._exceptions"
    Transport.__qualname__ = "TransportError"
    failures = Failures(("httpx.TransportError",))
    for error in (Refused(), TimeoutError(), InfrastructureError("gone"), Transport()):
        assert failures.infrastructure(error)
    for error in (ValueError(), KeyError("x"), OSError("disk"), AssertionError(), MemoryError()):
        assert not failures.infrastructure(error)
    assert not Failures().infrastructure(Transport())
