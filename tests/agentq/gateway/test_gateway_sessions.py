"""Real traffic as a trajectory log: sessions, rewards, kills in between."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agentq.errors import LogError
from agentq.gateway.journal import Feedback
from agentq.gateway.sessions import SessionLog, UnknownSessionError
from agentq.trajectories import TrajectoryReader
from agentq.types import Candidate, Decision, Step
from tests.agentq.gateway.conftest import LengthCritic, Running, until
from tests.servers.upstream import StubUpstream

Serve = Callable[..., Running]
Upstream = Callable[..., StubUpstream]


def step_of(text: str, turns: int = 1) -> Step:
    candidates = (
        Candidate("go", "go", token_ids=(1, 2), token_logprobs=(-0.5, -0.25)),
        Candidate("?", None, "no"),
    )
    decision = Decision(candidates, np.array([0.5, -np.inf]), np.array([1.0, 0.0]), 0, selector="best_of_n")
    messages = tuple({"role": "user", "content": f"{text} {i}"} for i in range(turns))
    return Step(messages, decision, 0.0, False, False, timings={"total": 0.25})


def opened(folder: Path, **options: float) -> SessionLog:
    return SessionLog(folder, **{"idle": 1000.0, "most": 100, **options})  # pyright: ignore[reportArgumentType]


def test_a_session_becomes_an_episode_with_its_rewards(tmp_path: Path) -> None:
    log = opened(tmp_path)
    for turns in (1, 2, 3):
        log.record("s", "task-1", step_of("page", turns))
    log.feedback(Feedback("s", step=0, reward=0.25, info={"part": 1}))
    done = log.feedback(Feedback("s", reward=0.5, done=True, success=True))
    assert (done.closed, done.step, done.episode) == (True, 2, "s")
    log.close()
    trajectory = TrajectoryReader(tmp_path)["s"]
    assert [s.reward for s in trajectory.steps] == [0.25, 0.0, 0.5]
    assert [s.terminated for s in trajectory.steps] == [False, False, True]
    assert [len(s.messages) for s in trajectory.steps] == [1, 2, 3]
    assert trajectory.steps[2].messages == step_of("page", 3).messages
    assert trajectory.steps[0].info == {"part": 1}
    assert trajectory.success
    assert trajectory.task == "task-1"
    assert trajectory.steps[1].decision.candidates == step_of("").decision.candidates
    assert trajectory.steps[1].decision.q.tolist() == [0.5, -np.inf]
    assert list((tmp_path / "open").iterdir()) == []


def test_a_name_used_again_is_another_episode(tmp_path: Path) -> None:
    log = opened(tmp_path)
    for _ in range(2):
        log.record("s", None, step_of("a"))
        log.feedback(Feedback("s", done=True))
    log.close()
    assert TrajectoryReader(tmp_path).ids == ("s", "s~2")


def test_decisions_without_a_session_are_rewarded_by_their_id(tmp_path: Path) -> None:
    log = opened(tmp_path)
    put = [log.record(None, None, step_of("a")) for _ in range(2)]
    assert put[0].session != put[1].session
    assert log.feedback(Feedback(decision=put[1].decision, reward=1.0, done=True)).session == put[1].session
    assert len(log) == 1
    log.close()


@pytest.mark.parametrize(
    "feedback",
    [
        Feedback("other"),
        Feedback("s", step=1),
        Feedback("s", step=-1),
        Feedback(decision="x-0"),
        Feedback(decision="0"),
    ],
)
def test_feedback_on_what_is_not_there_is_refused(tmp_path: Path, feedback: Feedback) -> None:
    log = opened(tmp_path)
    log.record("s", None, step_of("a"))
    with pytest.raises(UnknownSessionError):
        log.feedback(feedback)
    assert len(log) == 1
    log.close()


def test_quiet_sessions_are_cut_off_and_crowds_close_the_quietest(tmp_path: Path) -> None:
    log = opened(tmp_path, most=2)
    for name in "abc":
        log.record(name, None, step_of(name))
    assert len(log) == 2
    log.idle = -1.0
    assert log.close_idle() == 2
    log.close()
    episodes = list(TrajectoryReader(tmp_path))
    assert [episode.id for episode in episodes] == ["a", "b", "c"]
    assert all(episode.trajectory.steps[-1].truncated for episode in episodes)
    assert log.closed == {"done": 0, "truncated": 0, "idle": 2, "crowded": 1}


def test_a_kill_at_any_byte_of_a_journal_loses_at_most_the_line_being_written(tmp_path: Path) -> None:
    log = opened(tmp_path / "log")
    for turns in (1, 2):
        log.record("s", None, step_of("page", turns))
    log.feedback(Feedback("s", step=1, reward=0.5))
    log.close()
    (journal,) = (tmp_path / "log" / "open").iterdir()
    whole = journal.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == 10]
    for cut in {*range(0, len(whole), 37), *ends, *(end - 1 for end in ends)}:
        folder = tmp_path / f"cut-{cut}"
        (folder / "open").mkdir(parents=True)
        (folder / "open" / journal.name).write_bytes(whole[:cut])
        steps = sum(cut >= end for end in ends[1:3])
        if cut < ends[0]:
            with pytest.warns(UserWarning, match="without a whole line"):
                again = opened(folder)
            assert len(again) == 0
        else:
            again = opened(folder)
            assert again.record("s", None, step_of("after", 1)).step == steps
            again.feedback(Feedback("s", done=True))
        again.close()
        if cut >= ends[0]:
            trajectory = TrajectoryReader(folder)["s"]
            assert len(trajectory.steps) == steps + 1
            assert trajectory.score == (0.5 if cut >= ends[3] else 0.0)


def test_a_crash_between_log_and_journal_does_not_write_an_episode_twice(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.record("s", None, step_of("a"))
    (journal,) = (tmp_path / "open").iterdir()
    kept = journal.read_bytes()
    log.feedback(Feedback("s", done=True))
    log.close()
    journal.write_bytes(kept)
    again = opened(tmp_path)
    assert len(again) == 0
    assert not journal.exists()
    again.close()
    assert len(TrajectoryReader(tmp_path)) == 1


def test_a_full_disk_is_told_and_what_was_written_stays(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.record("s", None, step_of("a"))
    (journal,) = (tmp_path / "open").iterdir()
    aside = journal.rename(tmp_path / "aside")
    journal.mkdir()  # no line can be appended to a folder
    with pytest.raises(LogError, match="takes no more"):
        log.record("s", None, step_of("b"))
    journal.rmdir()
    aside.rename(journal)
    assert log.record("s", None, step_of("b")).step == 1
    log.close()


def test_the_gateway_logs_rewards_and_goes_on_after_a_restart(
    serve: Serve, upstream: Upstream, tmp_path: Path
) -> None:
    stub = upstream()
    gateway = serve(stub.url, LengthCritic(), log=tmp_path)
    first = gateway.chat(headers={"x-agentq-session": "s 1"})
    assert first.headers["x-agentq-session"] == "s%201"
    gateway.chat("fail", agentq={"session": "s 1", "task": "ignored: the session began"})
    gateway.chat(metadata={"session": "other"})
    decision = first.headers["x-agentq-decision"]
    told = gateway.post("/v1/agentq/feedback", {"decision": decision, "reward": 0.25}).json()
    assert told == {"session": "s 1", "episode": "s 1", "step": 0, "closed": False}
    gateway.server.should_exit = True
    until(lambda: _free(tmp_path))
    again = serve(stub.url, LengthCritic(), log=tmp_path)
    assert again.get("/health").json()["sessions_open"] == 2
    ended = again.post("/v1/agentq/feedback", {"session": "s 1", "reward": 1, "done": True, "success": True})
    assert ended.json()["closed"] is True
    trajectory = TrajectoryReader(tmp_path)["s 1"]
    assert [s.reward for s in trajectory.steps] == [0.25, 1.0]
    assert [s.decision.flags for s in trajectory.steps] == [(), ("unguided", "critic_error")]
    assert [s.decision.action for s in trajectory.steps] == ["press three", "press one"]
    assert trajectory.metadata["selector"] == "best_of_n"
    assert again.metric("agentq_episodes_total", end="done") == 1


def _free(folder: Path) -> bool:
    try:
        opened(folder).close()
    except LogError:
        return False
    return True


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"session": "none"}, 404),
        ({}, 400),
        ({"session": "a", "decision": "b"}, 400),
        ({"session": "a", "rewards": 1}, 400),
        ({"session": "a", "reward": "1"}, 400),
        ({"session": "a", "reward": True}, 400),
        ({"session": "a", "step": 1.5}, 400),
    ],
)
def test_feedback_that_makes_no_sense_is_refused(
    serve: Serve, upstream: Upstream, tmp_path: Path, body: dict[str, object], status: int
) -> None:
    gateway = serve(upstream().url, LengthCritic(), log=tmp_path)
    assert gateway.post("/v1/agentq/feedback", body).status_code == status


def test_without_a_log_feedback_says_so(serve: Serve, upstream: Upstream) -> None:
    answer = serve(upstream().url, LengthCritic()).post("/v1/agentq/feedback", {"session": "a"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_log")


def test_quiet_sessions_of_a_running_gateway_end_by_themselves(
    serve: Serve, upstream: Upstream, tmp_path: Path
) -> None:
    gateway = serve(upstream().url, LengthCritic(), log=tmp_path, session_idle=0.2)
    gateway.chat(headers={"x-agentq-session": "s"})
    until(lambda: "s" in TrajectoryReader(tmp_path))
    assert TrajectoryReader(tmp_path)["s"].steps[-1].truncated
    assert json.loads(gateway.get("/health").text)["sessions_open"] == 0
