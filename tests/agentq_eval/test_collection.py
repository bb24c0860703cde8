from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from agentq.agent import Agent
from agentq.errors import ConfigError
from agentq.policies.scripted import ScriptedPolicy
from agentq.selectors.sample import OneSample
from agentq.trajectories.reader import TrajectoryReader
from agentq.trajectories.writer import TrajectoryWriter
from agentq.types import Candidate, Decision, Step, Trajectory
from agentq_envs.continuations import ContinuationSettings, continuation_returns
from agentq_envs.webshop import WebShopEnv
from agentq_eval.collection import CollectionSummary, LabelSettings, collect
from agentq_eval.rollouts import Episode
from agentq_eval.running.deciders import AgentDecider, Decider, View

MakeEnv = Callable[[], WebShopEnv]
KINDS: tuple[Literal["policy", "expert", "lookahead"], ...] = ("policy", "expert", "lookahead")


class ExpertDecider:
    """Does what the environment's expert does."""

    def decide(self, views: Sequence[View]) -> list[Decision]:
        actions = [view.env.unwrapped.expert_action() for view in views]
        return [Decision((Candidate(a, a),), np.zeros(1), np.ones(1), 0) for a in actions]


@pytest.fixture
def decider(policy: ScriptedPolicy) -> Decider:
    return AgentDecider(Agent(policy, OneSample(), n=4, on_invalid="execute"))


@pytest.fixture
def episodes(make_env: MakeEnv) -> list[Episode]:
    return [Episode(task, seed) for task in make_env().server.task_ids for seed in (0, 1)]


def read(folder: Path) -> dict[str, Trajectory]:
    return {episode.id: episode.trajectory for episode in TrajectoryReader(folder)}


def collected(folder: Path, *rest: Any, **more: Any) -> dict[str, Trajectory]:
    """The log after a collection, by episode id."""
    make_env, episodes, decider, labels = rest
    with TrajectoryWriter(folder) as writer:
        collect(make_env, episodes, decider, writer, labels, **more)
    return read(folder)


def shown(log: dict[str, Trajectory]) -> dict[str, Any]:
    """What decides whether two logs are the same: actions, rewards and labels (NaN as None)."""
    return {
        name: [
            (step.decision.action, step.reward, None if step.labels is None else plain(step.labels))
            for step in trajectory.steps
        ]
        for name, trajectory in log.items()
    }


def plain(labels: Any) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in labels]


def labelled_steps(log: dict[str, Trajectory]) -> list[Step]:
    return [step for trajectory in log.values() for step in trajectory.steps]


@pytest.mark.parametrize("kind", KINDS)
def test_every_candidate_that_parses_has_a_label(
    tmp_path: Path, make_env: MakeEnv, episodes: list[Episode], decider: Decider, kind: Any
) -> None:
    log = collected(tmp_path, make_env, episodes[:8], decider, LabelSettings(kind))
    unparsed = several = 0
    for step in labelled_steps(log):
        assert step.labels is not None
        assert step.labels.shape == (len(step.decision.candidates),)
        valid = [candidate.valid for candidate in step.decision.candidates]
        assert (~np.isnan(step.labels)).tolist() == valid
        assert all(0.0 <= value <= 1.0 for value in step.labels[valid])
        unparsed += valid.count(False)
        several += len(set(step.labels[valid])) > 1
    assert unparsed > 0
    assert several > 0  # contrast within a state


def test_expert_and_exact_labels_are_those_of_the_state(
    tmp_path: Path, make_env: MakeEnv, episodes: list[Episode], decider: Decider
) -> None:
    expert = collected(tmp_path / "e", make_env, episodes[:6], decider, LabelSettings("expert", gamma=0.7))
    exact = collected(tmp_path / "l", make_env, episodes[:6], decider, LabelSettings("lookahead", gamma=0.7))
    env = make_env()
    settings = ContinuationSettings(1, 0.7)
    for name, trajectory in expert.items():
        env.reset(seed=trajectory.seed, options={"task": trajectory.task})
        for step, other in zip(trajectory.steps, exact[name].steps, strict=True):
            actions = [c.action for c in step.decision.candidates if c.action is not None]
            values = continuation_returns(env, actions, lambda e, seed: e.expert_action(), 0, settings)
            assert step.labels is not None
            assert other.labels is not None
            np.testing.assert_allclose(step.labels[~np.isnan(step.labels)], values)
            np.testing.assert_allclose(other.labels[~np.isnan(other.labels)], env.lookahead(actions, 0.7))
            env.step(step.decision.action)


def test_logged_returns_alone_need_no_snapshots(
    tmp_path: Path, make_env: MakeEnv, episodes: list[Episode], decider: Decider
) -> None:
    log = collected(tmp_path, make_env, episodes[:5], decider, LabelSettings("none"))
    assert [name for name in log if name not in {f"{e.task}#{e.seed}" for e in episodes[:5]}] == []
    assert len(log) == 5
    assert all(step.labels is None for step in labelled_steps(log))


def test_episodes_that_are_logged_are_not_played_again(
    tmp_path: Path, make_env: MakeEnv, episodes: list[Episode], decider: Decider
) -> None:
    played: list[Any] = []

    class Counting:
        def decide(self, views: Sequence[View]) -> list[Decision]:
            played.extend((view.env.task, view.env.session.seed) for view in views)
            return decider.decide(views)

    labels = LabelSettings("lookahead")
    with TrajectoryWriter(tmp_path) as writer:
        first = collect(make_env, episodes[:7], Counting(), writer, labels)
    before = read(tmp_path)
    played.clear()
    with TrajectoryWriter(tmp_path) as writer:
        second = collect(make_env, episodes[:12], Counting(), writer, labels)
        third = collect(make_env, episodes[:12], Counting(), writer, labels)
    assert set(played) == {(episode.task, episode.seed) for episode in episodes[7:12]}
    assert (first.episodes, second.episodes) == (7, 5)
    assert third == CollectionSummary(0, 0, 0.0)
    log = read(tmp_path)
    assert shown(log).items() >= shown(before).items()
    assert second.steps == sum(len(log[name].steps) for name in log if name not in before)
    assert second.score == pytest.approx(np.mean([log[name].score for name in log if name not in before]))


def test_a_collection_that_was_killed_ends_with_the_same_log(
    tmp_path: Path, make_env: MakeEnv, episodes: list[Episode], decider: Decider
) -> None:
    labels = LabelSettings("expert")
    whole = collected(tmp_path / "whole", make_env, episodes, decider, labels)
    steps = len(labelled_steps(whole))

    class Killed:
        decided = 0

        def decide(self, views: Sequence[View]) -> list[Decision]:
            self.decided += len(views)
            if self.decided == steps:
                raise KeyboardInterrupt
            return decider.decide(views)

    with pytest.raises(KeyboardInterrupt), TrajectoryWriter(tmp_path / "cut") as writer:
        collect(make_env, episodes, Killed(), writer, labels, batch_size=1)
    assert 0 < len(read(tmp_path / "cut")) < len(episodes)
    assert shown(collected(tmp_path / "cut", make_env, episodes, decider, labels)) == shown(whole)


def test_labels_by_the_policy_do_not_depend_on_the_batch(
    tmp_path: Path, make_env: MakeEnv, episodes: list[Episode], decider: Decider
) -> None:
    labels = LabelSettings("policy", count=2)
    one = collected(tmp_path / "1", make_env, episodes[:6], decider, labels, batch_size=1)
    many = collected(tmp_path / "64", make_env, episodes[:6], decider, labels, batch_size=64)
    turned = collected(tmp_path / "r", make_env, episodes[:6][::-1], decider, labels, batch_size=2)
    assert shown(one) == shown(many) == shown(turned)


def test_another_decider_may_play_the_continuations(
    tmp_path: Path, make_env: MakeEnv, episodes: list[Episode], decider: Decider
) -> None:
    by_expert = LabelSettings("policy", gamma=0.8)
    log = collected(tmp_path / "p", make_env, episodes[:6], decider, by_expert, continue_with=ExpertDecider())
    expected = collected(tmp_path / "e", make_env, episodes[:6], decider, LabelSettings("expert", gamma=0.8))
    for step, other in zip(labelled_steps(log), labelled_steps(expected), strict=True):
        assert step.labels is not None
        assert other.labels is not None
        np.testing.assert_allclose(step.labels, other.labels)


def test_guided_labels_are_those_of_the_agent_that_collects(
    tmp_path: Path, make_env: MakeEnv, episodes: list[Episode], decider: Decider
) -> None:
    """Whoever else is named to play on, which the labels by a policy listen to, plays no part."""
    expert, guided = ExpertDecider(), LabelSettings("guided", gamma=0.8)
    log = collected(tmp_path / "g", make_env, episodes[:6], expert, guided, continue_with=decider)
    expected = collected(tmp_path / "e", make_env, episodes[:6], expert, LabelSettings("expert", gamma=0.8))
    other = LabelSettings("policy", gamma=0.8)
    by_policy = collected(tmp_path / "p", make_env, episodes[:6], expert, other, continue_with=decider)
    assert shown(log) == shown(expected)
    assert shown(log) != shown(by_policy)


def test_several_continuations_are_averaged(
    tmp_path: Path, make_env: MakeEnv, episodes: list[Episode], decider: Decider
) -> None:
    """The first continuation is the same for every count; more of them only change the mean."""
    one = collected(tmp_path / "1", make_env, episodes[:6], decider, LabelSettings("policy", gamma=1.0))
    four = collected(tmp_path / "4", make_env, episodes[:6], decider, LabelSettings("policy", 4, 1.0))
    first, mean = (
        np.concatenate([step.labels for step in labelled_steps(log) if step.labels is not None])
        for log in (one, four)
    )
    pairs = [(a, b) for a, b in zip(first, mean, strict=True) if not np.isnan(a)]
    assert all(a / 4 - 1e-9 <= b <= (a + 3) / 4 + 1e-9 for a, b in pairs)
    assert any(a != b for a, b in pairs)


@pytest.mark.parametrize(
    ("kind", "lacks"),
    [
        ("policy", "snapshot"),
        ("policy", "restore"),
        ("guided", "snapshot"),
        ("expert", "expert_action"),
        ("lookahead", "lookahead"),
    ],
)
def test_an_environment_that_cannot_be_labelled_is_refused_at_once(
    tmp_path: Path, shop: dict[str, Any], episodes: list[Episode], decider: Decider, kind: Any, lacks: str
) -> None:
    class Plain(WebShopEnv):
        locals()[lacks] = None

    with TrajectoryWriter(tmp_path) as writer:
        with pytest.raises(ConfigError, match=rf"labels of kind '{kind}' need {lacks}\(\), which Plain"):
            collect(lambda: Plain(**shop), episodes, decider, writer, LabelSettings(kind))
        assert len(writer) == 0
        summary = collect(lambda: Plain(**shop), episodes[:2], decider, writer, LabelSettings("none"))
    assert summary.episodes == 2
