from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from agentq.critics.base import Scores
from agentq.policies.scripted import ScriptedPolicy
from agentq.types import Candidate, FloatArray, Messages
from agentq_envs.webshop import WebShopEnv
from agentq_eval.arms import Arm, ArmSettings, build_arms, run_arm
from agentq_eval.episodes import ARMS, SINGLE, check_paired, group
from agentq_eval.rollouts import Episode, View

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
def arms(policy: ScriptedPolicy, greedy: ScriptedPolicy) -> list[Arm]:
    return build_arms(policy, greedy, Longest(), ArmSettings(candidates=(4,)))


def test_every_named_arm_is_built(policy: ScriptedPolicy, greedy: ScriptedPolicy) -> None:
    assert {arm.name for arm in build_arms(policy, greedy, Longest())} == set(ARMS)
    curve = build_arms(policy, greedy, Longest(), ArmSettings(candidates=(1, 2, 4)))
    built = [(arm.name, arm.n) for arm in curve]
    assert sorted(built) == sorted(
        [(name, 1) for name in SINGLE] + [(name, n) for name in ARMS if name not in SINGLE for n in (2, 4)]
    )


def test_one_candidate_leaves_nothing_to_choose(policy: ScriptedPolicy, greedy: ScriptedPolicy) -> None:
    arms = build_arms(policy, greedy, Longest(), ArmSettings(candidates=(1,)))
    assert [(arm.name, arm.n) for arm in arms] == [("sampled", 1), ("greedy", 1)]


def test_all_arms_of_an_n_choose_among_the_same_candidates(arms: list[Arm], make_env: MakeEnv) -> None:
    env = make_env()
    _, info = env.reset(seed=0)
    info = env.step("search[mug]")[4]
    view = [View(env, info["messages"], tuple(info["admissible_actions"]), seed) for seed in range(25)]
    decisions = {arm.name: arm.decider.decide(view) for arm in arms}
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


def test_the_records_of_all_arms_are_paired(arms: list[Arm], make_env: MakeEnv) -> None:
    env = make_env()
    episodes = [Episode(task, 3) for task in env.server.task_ids]
    results = [result for arm in arms for result in run_arm(arm, make_env, episodes, 5, lambda: 0)]
    cells = group(results)
    check_paired(cells)
    assert [name for name, _ in cells] == list(ARMS)
    for result in results:
        assert 0 < result.steps == result.decisions <= 6
        assert result.outcome == "finished" or (result.score, result.steps) == (0.0, 6)
        assert result.success == (result.score == 1.0)
    assert {result.outcome for result in results} == {"finished", "truncated"}
    scores = {name: np.mean([result.score for result in cell]) for (name, _), cell in cells.items()}
    assert scores["oracle"] == max(scores.values())


def test_an_episode_does_not_depend_on_the_batch(arms: list[Arm], make_env: MakeEnv) -> None:
    def key(result: Any) -> Any:
        return result.task, result.score, result.success, result.steps, result.outcome

    episodes = [Episode(task, 1) for task in make_env().server.task_ids[:6]]
    for arm in arms:
        alone, together = (sorted(map(key, run_arm(arm, make_env, episodes, size))) for size in (1, 64))
        assert alone == together


def test_a_babbling_policy_fails_in_every_arm_instead_of_stopping(
    babbling: ScriptedPolicy, make_env: MakeEnv
) -> None:
    task = make_env().server.task_ids[0]
    arms = build_arms(babbling, babbling, Longest(), ArmSettings(candidates=(3,)))
    results = [result for arm in arms for result in run_arm(arm, make_env, [Episode(task, 0)])]
    assert [result.arm for result in results] == [arm.name for arm in arms]
    assert {(r.score, r.success, r.steps, r.outcome) for r in results} == {(0.0, False, 6, "truncated")}
