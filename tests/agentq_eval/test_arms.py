from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from agentq.critics.base import Scores
from agentq.policies.scripted import ScriptedPolicy
from agentq.types import Candidate, FloatArray, Messages
from agentq_envs.webshop import WebShopEnv
from agentq_eval.arms import ArmSettings, value_arms, value_deciders
from agentq_eval.episodes import ARMS, SINGLE
from agentq_eval.rollouts import Episode, run_episodes
from agentq_eval.running.deciders import Decider, View
from agentq_eval.suites.suite import ArmSpec

MakeEnv = Callable[[], WebShopEnv]


class Longest:
    """A critic that likes long actions."""

    def score(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[FloatArray]:
        return [np.array([len(c.action) if c.action else -np.inf for c in some], float) for _, some in batch]

    def score_heads(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[Scores]:
        return [Scores(q) for q in self.score(batch)]


@pytest.fixture
def greedy() -> ScriptedPolicy:
    """Always the first admissible action."""
    return ScriptedPolicy(lambda messages, admissible, rng: next(iter(admissible or ["click[x]"])))


@pytest.fixture
def deciders(policy: ScriptedPolicy, greedy: ScriptedPolicy) -> Mapping[str, Decider]:
    return value_deciders(value_arms(ArmSettings(candidates=(4,))), policy, greedy, Longest())


def keys(arms: Sequence[ArmSpec]) -> set[tuple[str, int]]:
    return {(arm.name, n) for arm in arms for n in arm.n}


def test_every_named_arm_is_there(policy: ScriptedPolicy, greedy: ScriptedPolicy) -> None:
    assert {arm.name for arm in value_arms()} == set(ARMS)
    curve = value_arms(ArmSettings(candidates=(1, 2, 4)))
    single = {(name, 1) for name in SINGLE}
    assert keys(curve) == single | {(name, n) for name in ARMS if name not in SINGLE for n in (2, 4)}
    made = value_deciders(curve, policy, greedy, Longest())
    assert set(made) == {f"{name}@{n}" for name, n in keys(curve)}
    assert keys(value_arms(ArmSettings(names=("greedy", "oracle")))) == {("greedy", 1), ("oracle", 8)}


def test_one_candidate_leaves_nothing_to_choose() -> None:
    assert keys(value_arms(ArmSettings(candidates=(1,)))) == {("sampled", 1), ("greedy", 1)}


def test_all_arms_of_an_n_choose_among_the_same_candidates(
    deciders: Mapping[str, Decider], make_env: MakeEnv
) -> None:
    env = make_env()
    _, info = env.reset(seed=0)
    info = env.step("search[mug]")[4]
    view = [View(env, info["messages"], tuple(info["admissible_actions"]), seed) for seed in range(25)]
    decisions = {key.partition("@")[0]: decider.decide(view) for key, decider in deciders.items()}
    for i in range(len(view)):
        proposed = decisions["best_of_n"][i].candidates
        assert sum(candidate.count for candidate in proposed) == 4
        assert all(decisions[name][i].candidates == proposed for name in ("majority", "softmax", "oracle"))
        sampled = decisions["sampled"][i].candidates[0]
        assert (sampled.text, sampled.action) == (proposed[0].text, proposed[0].action)
        assert decisions["greedy"][i].action == info["admissible_actions"][0]
        best = decisions["best_of_n"][i]
        if best.chosen.valid:
            assert len(best.action) == max(len(c.action) for c in proposed if c.action is not None)
            assert decisions["majority"][i].chosen.count == max(c.count for c in proposed if c.valid)
            exact = env.lookahead([c.action for c in proposed if c.action is not None])
            assert env.lookahead([decisions["oracle"][i].action]) == [max(exact)]
    assert decisions["softmax"][0].selector == "softmax"
    assert any(one.draw is not None for one in decisions["softmax"])


def test_the_oracle_is_the_best_of_these_arms(deciders: Mapping[str, Decider], make_env: MakeEnv) -> None:
    episodes = [Episode(task, 3) for task in make_env().server.task_ids]
    scores = {
        key: np.mean([played.score for played in run_episodes(make_env, episodes, decider, 5)])
        for key, decider in deciders.items()
    }
    assert scores["oracle@4"] == max(scores.values()) > min(scores.values())


def test_a_babbling_policy_fails_in_every_arm_instead_of_stopping(
    babbling: ScriptedPolicy, make_env: MakeEnv
) -> None:
    task = make_env().server.task_ids[0]
    made = value_deciders(value_arms(ArmSettings(candidates=(3,))), babbling, babbling, Longest())
    for decider in made.values():
        (played,) = run_episodes(make_env, [Episode(task, 0)], decider)
        assert (played.score, played.success, len(played.steps)) == (0.0, False, 6)
        assert played.steps[-1].truncated
