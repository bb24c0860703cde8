from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agentq.critics.base import Scores
from agentq.errors import CheckpointError, ConfigError, EvaluationError, LogError
from agentq.trajectories import TrajectoryReader, TrajectoryWriter
from agentq.types import Candidate, Messages, Trajectory
from agentq_eval.commands.rescore import add_arguments, load_critic
from agentq_eval.commands.rescore import run as run_command
from agentq_eval.offline.replay import replay
from agentq_eval.offline.rescore import RescoreSettings, rescore
from agentq_eval.offline.rescored_log import EARLIER, REPORT, SETTINGS, played_decision
from tests.agentq_eval.offline.chain_logs import Table, older, play, write_log

HERE = "tests.agentq_eval.offline.test_rescore"
BEST = RescoreSettings("table", "best_of_n")
REVERSED = Table(0.0, 0.1, 0.3)


def command(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run_command(parser.parse_args(words))


def upside_down() -> Table:
    return Table(0.0, 0.1, 0.3)


def no_critic() -> str:
    return "a text"


def test_the_same_critic_and_selector_agree_completely(run: Path) -> None:
    report = rescore(run, Table(), RescoreSettings("table", arms=("soft",)))
    (arm,) = report.arms
    assert (arm.arm, arm.episodes) == ("soft@3", 10)
    assert arm.agreement.same.value == arm.agreement.overlap.value == 1
    assert arm.agreement.spearman.value == pytest.approx(1)
    assert 0 < arm.agreement.open < arm.agreement.decisions == 40
    assert arm.off_policy.effective == pytest.approx(10)
    assert "too few effective episodes: 10.0 of 10" in arm.off_policy.refused


def test_the_opposite_critic_disagrees_wherever_there_is_a_choice(tmp_path: Path) -> None:
    log = write_log(tmp_path, play("best_of_n", critic=Table()))
    report = rescore(log, REVERSED, BEST)
    assert report.all.same.value == 0
    assert report.all.spearman.value == pytest.approx(-1)
    assert report.arms[0].off_policy.refused.startswith("no support")


def test_arms_are_reported_apart_and_together(run: Path) -> None:
    report = rescore(run, Table(), BEST)
    assert [arm.arm for arm in report.arms] == ["sampled@3", "majority@3", "soft@3"]
    assert report.all.decisions == sum(arm.agreement.decisions for arm in report.arms) == 120
    only = rescore(run, Table(), replace(BEST, arms=("soft@3",)))
    assert [arm.arm for arm in only.arms] == ["soft@3"]
    assert only.arms[0] == report.arms[2]


def test_softmax_estimates_are_there_when_there_are_episodes_enough(tmp_path: Path) -> None:
    log = write_log(tmp_path, play("softmax", 80, critic=Table(), temperature=0.3))
    settings = RescoreSettings("table", "softmax", {"temperature": 0.25}, {"softmax": {"temperature": 0.3}})
    found = rescore(log, Table(), settings).arms[0].off_policy
    assert found.refused == ""
    assert found.mean_weight == pytest.approx(1, abs=0.3)
    assert found.estimates["wdr"].value == pytest.approx(found.logged.value, abs=0.1)


def test_a_rescored_log_keeps_everything(run: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    rescore(run, REVERSED, BEST, tmp_path / "new")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    old, new = TrajectoryReader(run / "log"), TrajectoryReader(tmp_path / "new")
    assert new.ids == old.ids
    changed = 0
    for episode in old:
        rescored = new[episode.id]
        assert rescored.metadata["rescored"]["critic"] == "table"
        assert rescored.metadata["rescored"]["fingerprint"] == REVERSED.fingerprint
        for was, now in zip(episode.trajectory.steps, rescored.steps, strict=True):
            assert (now.messages, now.reward, now.terminated) == (was.messages, was.reward, was.terminated)
            assert now.decision.candidates == was.decision.candidates
            assert "rescored" in now.decision.flags
            played = played_decision(now)
            for name in ("index", "draw", "selector", "flags"):
                assert getattr(played, name) == getattr(was.decision, name)
            assert played.q.tobytes() == was.decision.q.tobytes()  # -inf too
            assert played.probabilities.tobytes() == was.decision.probabilities.tobytes()
            assert str(played.head_q) == str(was.decision.head_q)
            other = now.decision.action != was.decision.action
            assert ("not_executed" in now.decision.flags) == other
            changed += other
    assert changed > 10


def test_a_rescored_log_replays(run: Path, tmp_path: Path) -> None:
    settings = RescoreSettings("table", "softmax", {"temperature": 0.4, "scale": "std"})
    rescore(run, REVERSED, settings, tmp_path / "new")
    assert replay(tmp_path / "new").identical


def test_without_a_selector_each_arm_keeps_its_own(run: Path, tmp_path: Path) -> None:
    rescore(run, REVERSED, RescoreSettings("table"), tmp_path / "new")
    assert replay(tmp_path / "new").identical
    selectors = {e.trajectory.metadata["arm"]: e.trajectory.metadata["rescored"]["selector"]
                 for e in TrajectoryReader(tmp_path / "new")}  # fmt: skip
    assert selectors == {"sampled": "first", "majority": "majority", "soft": "softmax"}


def test_rescoring_a_rescored_log_still_knows_what_was_played(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log", play("softmax", 60, critic=Table(), temperature=0.3))
    soft = RescoreSettings("a", "softmax", {"temperature": 0.25})
    rescore(log, REVERSED, soft, tmp_path / "one")
    twice = rescore(tmp_path / "one", Table(), replace(soft, critic="b"), tmp_path / "two")
    direct = rescore(log, Table(), replace(soft, critic="b"))
    assert twice.arms[0].off_policy == direct.arms[0].off_policy
    assert twice.all.same != direct.all.same  # agreement is with the log that was given
    step = TrajectoryReader(tmp_path / "two")["0#0"].steps[0]
    assert [record["selector"] for record in step.info[EARLIER]] == ["softmax", "softmax"]
    assert played_decision(step).index == TrajectoryReader(log)["0#0"].steps[0].decision.index


def test_equal_distributions_choose_by_the_logged_draw(tmp_path: Path) -> None:
    trajectories = [  # of an agent whose draws were not the evaluation's
        replace(t, steps=tuple(replace(s, decision=replace(s.decision, draw=0.99)) for s in t.steps))
        for t in play("sample", 30)
    ]
    report = rescore(write_log(tmp_path, trajectories), Table(), RescoreSettings(selector="sample"),
                     tmp_path / "new")  # fmt: skip
    assert report.all.overlap.value == 1
    drawn = [s.decision for e in TrajectoryReader(tmp_path / "new") for s in e.trajectory.steps]
    assert {decision.draw for decision in drawn if decision.selector == "sample"} == {0.99}


class Stops(Table):
    """Breaks down after some states."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.left = after

    def score_heads(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[Scores]:
        self.left -= len(batch)
        if self.left < 0:
            raise KeyboardInterrupt
        return super().score_heads(batch)


def content(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob("shard-*.jsonl"))]


def test_a_stopped_rescoring_goes_on_where_it_was(run: Path, tmp_path: Path) -> None:
    settings = replace(BEST, batch_size=8)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    expected = rescore(run, Table(), settings, whole)
    with pytest.raises(KeyboardInterrupt):
        rescore(run, Stops(50), settings, parts)
    assert not (parts / REPORT).exists()
    assert 0 < len(TrajectoryReader(parts)) < 30
    again = Table()
    assert rescore(run, again, settings, parts) == expected
    assert content(parts) == content(whole)
    assert sum(again.calls) == 120 - 4 * 12  # six calls of two episodes were done
    rested = Table()
    assert rescore(run, rested, settings, parts) == expected
    assert rested.calls == []
    assert json.loads((parts / REPORT).read_text())["all"]["decisions"] == 120


def test_a_half_written_window_is_scored_in_the_same_batches(run: Path, tmp_path: Path) -> None:
    settings = replace(BEST, batch_size=12)  # three episodes together
    rescore(run, Table(), settings, tmp_path / "whole")
    rescore(run, Table(), settings, tmp_path / "half")
    episodes = list(TrajectoryReader(tmp_path / "half"))
    for path in (tmp_path / "half").glob("shard-*"):
        path.unlink()
    with TrajectoryWriter(tmp_path / "half") as writer:
        for episode in episodes[:4]:
            writer.write(episode.trajectory, episode.id)
    critic = Table()
    rescore(run, critic, settings, tmp_path / "half")
    assert critic.calls == [12] * 9  # the second window whole, although its first episode was there
    assert content(tmp_path / "half") == content(tmp_path / "whole")


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_the_batch_size_changes_calls_and_nothing_else(run: Path, size: int) -> None:
    critic = Table()
    assert rescore(run, critic, replace(BEST, batch_size=size)) == rescore(run, Table(), BEST)
    assert max(critic.calls) <= size
    assert sum(critic.calls) == 120


def test_another_critic_does_not_go_on_in_the_same_folder(run: Path, tmp_path: Path) -> None:
    rescore(run, Table(), BEST, tmp_path / "new")
    with pytest.raises(EvaluationError, match=r"was rescored otherwise \(fingerprint"):
        rescore(run, REVERSED, BEST, tmp_path / "new")
    with pytest.raises(EvaluationError, match="selector 'best_of_n', now 'majority'"):
        rescore(run, Table(), replace(BEST, selector="majority"), tmp_path / "new")
    (tmp_path / "new" / SETTINGS).unlink()
    with pytest.raises(EvaluationError, match=r"a log without rescore\.json"):
        rescore(run, Table(), BEST, tmp_path / "new")
    with pytest.raises(EvaluationError, match="is the log that is read"):
        rescore(run, Table(), BEST, run / "log")


def test_two_writers_are_kept_apart(run: Path, tmp_path: Path) -> None:
    with TrajectoryWriter(tmp_path / "new"):
        (tmp_path / "new" / "shard-00000.jsonl").unlink()
        with pytest.raises(LogError, match="is being written by process"):
            rescore(run, Table(), BEST, tmp_path / "new")


def test_attempts_that_infrastructure_broke_off_do_not_count(tmp_path: Path) -> None:
    played = play("first", 6, arm="sampled")
    lost = [
        replace(t, seed=9, steps=t.steps[:1], metadata={**t.metadata, "outcome": "infrastructure"})
        for t in played
    ]
    report = rescore(write_log(tmp_path / "log", [*lost, *played]), Table(), BEST, tmp_path / "new")
    assert report.arms[0].episodes == 6
    assert report.all.decisions == 24
    assert len(TrajectoryReader(tmp_path / "new")) == 12  # nothing is lost


class Short(Table):
    def score_heads(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[Scores]:
        return super().score_heads(batch)[:-1]


def test_what_cannot_be_scored_is_an_error(run: Path, tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"gave 11 results for 12 states"):
        rescore(write_log(tmp_path / "three", play("first", 3)), Short(), BEST)
    with pytest.raises(EvaluationError, match="no ended episode of the arms other"):
        rescore(run, Table(), replace(BEST, arms=("other",)))
    with pytest.raises(ConfigError, match="without a selector"):
        rescore(run, Table(), RescoreSettings(options={"temperature": 1}))
    with pytest.raises(ConfigError, match="batch_size=0"):
        RescoreSettings(batch_size=0)
    with pytest.raises(ConfigError, match=r"selector 'softmax' has no option 'heat'"):
        rescore(run, Table(), RescoreSettings(selector="softmax", options={"heat": 1}))
    log = write_log(tmp_path / "soft", older(play("softmax", 2, critic=Table())))
    with pytest.raises(EvaluationError, match=r"0#0 step 0: .*options.*--selector"):
        rescore(log, Table(), RescoreSettings())


def test_episodes_that_ended_before_a_decision_count(tmp_path: Path) -> None:
    empty = replace(play("first", 1)[0], task="77", steps=())
    report = rescore(write_log(tmp_path, [*play("first", 3), empty]), Table(), BEST)
    assert report.arms[0].episodes == 4
    assert report.all.decisions == 12


def test_the_command_prints_both_numbers(
    run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = [str(run), "--critic", f"{HERE}:upside_down", "--selector", "softmax",
             "--selector-options", "temperature=5", "scale=max", "--arms", "soft", "--min-effective", "2",
             "--max-share", "0.9", "--max-drift", "9", "--output", str(tmp_path / "new"),
             "--batch-size", "7"]  # fmt: skip
    assert command(*words) == 0
    text = capsys.readouterr().out
    assert "same action" in text
    assert "doubly robust, weighted" in text
    assert "effective of 10 episodes" in text
    stored = json.loads((tmp_path / "new" / SETTINGS).read_text())
    assert stored["options"] == {"temperature": 5, "scale": "max"}
    assert command(*words, "--json") == 0
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "new" / REPORT).read_text())


def test_the_command_refuses_aloud(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(str(run), "--critic", f"{HERE}:upside_down", "--selector", "best_of_n") == 0
    text = capsys.readouterr().out
    assert text.count("no estimate: no support") == 2  # softmax tries everything
    assert text.count("no estimate: too few") == 1
    assert "all arms" in text
    with pytest.raises(ConfigError, match="gives str, expected a critic"):
        command(str(run), "--critic", f"{HERE}:no_critic")
    with pytest.raises(ConfigError, match="does not import"):
        command(str(run), "--critic", f"{HERE}:nothing_here")


def test_options_of_a_bare_log_come_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = write_log(tmp_path, older(play("softmax", 5, critic=Table(), temperature=0.3)))
    words = [str(log), "--critic", f"{HERE}:upside_down"]
    with pytest.raises(EvaluationError, match="--selector"):
        command(*words)
    assert command(*words, "--logged", "softmax:temperature=0.3") == 0
    assert "log: 5 episodes" in capsys.readouterr().out


def test_a_critic_from_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read"):
        load_critic(str(tmp_path))
    assert isinstance(load_critic(f"{HERE}:upside_down"), Table)


def test_earlier_infinities_survive_the_log(tmp_path: Path) -> None:
    def minus(trajectory: Trajectory) -> list[float]:
        return [q for step in trajectory.steps for q in played_decision(step).q if math.isinf(q)]

    log = write_log(tmp_path / "log", play("first", 20))
    rescore(log, Table(), BEST, tmp_path / "new")
    before = [q for e in TrajectoryReader(log) for q in minus(e.trajectory)]
    after = [q for e in TrajectoryReader(tmp_path / "new") for q in minus(e.trajectory)]
    assert after == before
    assert len(after) > 5
    assert np.isneginf(after).all()
