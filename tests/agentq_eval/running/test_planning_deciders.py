"""Deciders that plan: they win where a greedy critic does not, and leave environments as they were."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from agentq.critics.base import Scores
from agentq.errors import ConfigError
from agentq.search.beam import BeamSettings
from agentq.search.forest import Forest
from agentq.search.settings import SearchSettings
from agentq.search.tree import Recommendation
from agentq.types import Candidate
from agentq_eval.rollouts import Episode, run_episodes
from agentq_eval.running.planning import BeamDecider, EpisodePlanDecider, TreeDecider, search_decider


class Detour:
    """Two steps: "b" then "a" is worth 1, all else 0.1; what looks good at first is wrong."""

    def __init__(self) -> None:
        self.path = ""

    @property
    def unwrapped(self) -> Detour:
        return self

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.path = ""
        return "", self._info()

    def step(self, action: str) -> Any:
        self.path += action
        done = len(self.path) >= 2
        return self.path, (1.0 if self.path == "ba" else 0.1) * done, done, False, self._info()

    def snapshot(self) -> str:
        return self.path

    def restore(self, snapshot: str) -> None:
        self.path = snapshot

    def close(self) -> None:
        pass

    def _info(self) -> dict[str, Any]:
        return {"messages": ({"role": "user", "content": self.path},), "admissible_actions": ["a", "b"]}


class Both:
    """Proposes both actions, as a critic prefers "a"."""

    def propose(self, batch: Any, n: int, seeds: Any, admissible: Any = None) -> list[list[Candidate]]:
        return [[Candidate("a", "a"), Candidate("b", "b")] for _ in batch]

    def score(self, batch: Any) -> Any:
        return [np.array([0.5, 0.2])[: len(some)] for _, some in batch]

    def score_heads(self, batch: Any) -> Any:
        return [Scores(q) for q in self.score(batch)]


class Nothing(Both):
    def propose(self, batch: Any, n: int, seeds: Any, admissible: Any = None) -> list[list[Candidate]]:
        return [[Candidate("?", None, "no action")] for _ in batch]


def played(decider: Any) -> list[Any]:
    return list(run_episodes(Detour, [Episode("x", seed) for seed in range(3)], decider))


def test_a_beam_takes_the_detour_that_greedy_choice_misses() -> None:
    both = Both()
    for depth, score in ((0, 0.1), (2, 1.0)):
        trajectories = played(BeamDecider(Forest(both, both), BeamSettings(width=2, depth=depth)))
        assert [t.score for t in trajectories] == [score] * 3
    first = trajectories[0].steps[0].decision
    assert (first.action, first.selector, first.candidates[first.index].text) == ("b", "beam", "b")
    assert list(first.q) == [0.5, 0.2]


def test_a_tree_takes_it_too() -> None:
    settings = SearchSettings(iterations=20, early_stop=False)
    for by in get_args(Recommendation)[1:]:
        trajectories = played(TreeDecider(Forest(Both()), settings, by))
        assert [t.score for t in trajectories] == [1.0] * 3
        assert all(len(t.steps) == 2 for t in trajectories)


def test_a_plan_for_the_episode_is_followed_without_another_search() -> None:
    both = Both()
    decider = EpisodePlanDecider(Forest(both), SearchSettings(iterations=20, early_stop=False))
    trajectories = played(decider)
    assert [t.score for t in trajectories] == [1.0] * 3
    for trajectory in trajectories:
        first, second = (step.decision for step in trajectory.steps)
        assert (first.selector, first.action, len(first.candidates)) == ("tree_search", "b", 2)
        assert (second.action, len(second.candidates)) == ("a", 1)
    assert not any(any(plan.values()) for plan in decider._plans.values())


class Barren(Detour):
    """Five steps without any reward, in circles: the state is the parity of the steps."""

    def step(self, action: str) -> Any:
        self.path += action
        return self._info()["messages"][0]["content"], 0.0, len(self.path) >= 5, False, self._info()

    def _info(self) -> dict[str, Any]:
        content = str(len(self.path) % 2)
        return {"messages": ({"role": "user", "content": content},), "admissible_actions": ["a", "b"]}


def test_a_task_without_reward_is_searched_once_or_at_every_step() -> None:
    settings = SearchSettings(iterations=4, max_depth=5)
    for once, searches in ((True, 1), (False, 5)):
        decider = EpisodePlanDecider(Forest(Both()), settings, once=once)
        (trajectory,) = run_episodes(Barren, [Episode("x", 0)], decider)
        assert len(trajectory.steps) == 5
        assert sum(len(step.decision.candidates) > 1 for step in trajectory.steps) == searches
    rewarded = EpisodePlanDecider(Forest(Both()), SearchSettings(iterations=20), once=True)
    assert [t.score for t in played(rewarded)] == [1.0] * 3


def test_an_arm_says_how_it_searches() -> None:
    both = Both()
    episode = search_decider(both, None, 2, {"iterations": 20, "early_stop": False})
    step = search_decider(both, both, 2, {"plan": "step", "by": "value", "values": "critic", "guide": "puct"})
    assert isinstance(episode, EpisodePlanDecider)
    assert isinstance(step, TreeDecider)
    assert (episode.settings.width, step.settings.guide, step.by) == (2, "puct", "value")
    assert [t.score for t in played(episode)] == [1.0] * 3
    for options, message in (
        ({"plan": "day"}, "episode, once, step"),
        ({"by": "luck"}, "by"),
        ({"depth": 3}, "depth"),
    ):
        with pytest.raises(ConfigError, match=message):
            search_decider(both, both, 2, options)
    with pytest.raises(ConfigError, match="critic: true"):
        search_decider(both, None, 2, {"values": "critic"})


def test_visits_are_recommended_where_there_are_enough() -> None:
    decider = TreeDecider(Forest(Both()), SearchSettings(iterations=1))
    decision = played(decider)[0].steps[0].decision
    assert decision.action == "a"  # the only child that was simulated from
    assert decision.selector == "tree_search"


def test_without_a_valid_candidate_the_episode_goes_on() -> None:
    for decider in (
        BeamDecider(Forest(Nothing(), Both()), BeamSettings()),
        TreeDecider(Forest(Nothing()), SearchSettings()),
    ):
        (decision,) = [t.steps[0].decision for t in played_one_step(decider)]
        assert decision.action == ""
        assert decision.q[0] == -np.inf


def played_one_step(decider: Any) -> list[Any]:
    class Short(Detour):
        def step(self, action: str) -> Any:
            return self.path, 0.0, True, False, self._info()

    return list(run_episodes(Short, [Episode("x", 0)], decider))
