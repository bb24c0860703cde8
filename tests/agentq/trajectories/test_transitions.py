from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agentq.backbones import BackboneConfig, load_backbone
from agentq.errors import LogError
from agentq.trajectories import Episode, TokenMasks, masks, pad_masks, transitions
from agentq.trajectories.transitions import NOT_EXECUTED
from agentq.types import Candidate, Decision, Step, Trajectory

Build = Callable[..., Trajectory]


def _steps(rewards: list[float], terminated: bool, truncated: bool, final: bool = False) -> Episode:
    decision = Decision((Candidate("go", "go"),), np.zeros(1), np.ones(1), 0)
    steps = []
    for i, reward in enumerate(rewards):
        last = i == len(rewards) - 1
        info = {"final_messages": [{"role": "user", "content": "end"}]} if final and last else {}
        state = ({"role": "user", "content": str(i)},)
        steps.append(Step(state, decision, reward, terminated and last, truncated and last, info))
    return Episode("e", Trajectory("t", 0, tuple(steps)))


def test_returns_are_discounted_and_next_states_linked() -> None:
    made = list(transitions([_steps([1.0, 0.0, 4.0], terminated=True, truncated=False)], gamma=0.5))
    assert [t.return_to_go for t in made] == [2.0, 2.0, 4.0]
    assert [t.next_messages[0]["content"] if t.next_messages else None for t in made] == ["1", "2", None]
    assert [t.next_index for t in made] == [0, 0, None]
    assert [t.bootstraps for t in made] == [True, True, False]
    assert all(t.complete for t in made)


def test_a_decision_that_was_never_executed_is_refused() -> None:
    (step,) = _steps([1.0], terminated=True, truncated=False).trajectory.steps
    offline = replace(step, decision=replace(step.decision, flags=(NOT_EXECUTED,)))
    with pytest.raises(LogError, match=r"step 0: its action was chosen afterwards"):
        list(transitions([Episode("e", Trajectory("t", 0, (offline,)))]))


def test_truncation_bootstraps_and_termination_does_not() -> None:
    cut = list(transitions([_steps([0.0, 0.0], terminated=False, truncated=True, final=True)]))
    assert cut[-1].next_messages == ({"role": "user", "content": "end"},)
    assert cut[-1].bootstraps
    assert not cut[-1].complete
    unknown = list(transitions([_steps([0.0], terminated=False, truncated=True)]))[-1]
    assert unknown.next_messages is None
    assert not unknown.bootstraps
    ended = list(transitions([_steps([0.0], terminated=True, truncated=False, final=True)]))[-1]
    assert ended.next_messages is None


def test_impossible_episodes_and_discounts_are_refused() -> None:
    first = _steps([1.0], terminated=True, truncated=False).trajectory.steps
    joined = Episode("joined", Trajectory("t", 0, (*first, *first)))
    with pytest.raises(LogError, match="'joined' goes on after step 0"):
        list(transitions([joined]))
    with pytest.raises(LogError, match=r"gamma=1\.5"):
        list(transitions([], gamma=1.5))


def test_masks_split_prompt_and_sampled_action(tiny_model_folder: Path, trajectory: Build) -> None:
    backbone = load_backbone(BackboneConfig(name=str(tiny_model_folder)))
    step = trajectory(0).steps[0]
    prompt = backbone.prompt_ids(step.messages)
    made = masks(step, backbone)
    assert made.token_ids.tolist() == [*prompt, 1, 2, 3]  # the sampled ids, not a re-tokenisation
    assert made.loss.tolist() == [False] * len(prompt) + [True] * 3
    assert (made.environment == ~made.loss).all()
    other = masks(step, backbone, candidate=1)
    batch = pad_masks([made, other], backbone.pad_id)
    assert batch.attention.sum(axis=1).tolist() == [len(prompt) + 3, len(prompt) + 1]
    assert not (batch.loss | batch.environment)[~batch.attention].any()
    text_only = Step(
        step.messages, Decision((Candidate("go", "go"),), np.zeros(1), np.ones(1), 0), 0, True, False
    )
    assert masks(text_only, backbone).loss.sum() == len(backbone.action_ids("go"))
    with pytest.raises(LogError, match="candidate 2 does not exist"):
        masks(step, backbone, candidate=2)


def test_masks_of_wrong_shape_or_meaning_are_refused() -> None:
    ids, yes = np.arange(3), np.ones(3, dtype=np.bool_)
    with pytest.raises(LogError, match=r"loss mask is bool \(4,\), expected bool \(3,\)"):
        TokenMasks(ids, yes, np.ones(4, dtype=np.bool_), ~yes)
    with pytest.raises(LogError, match="masks disagree"):
        TokenMasks(ids, yes, yes, yes)
    with pytest.raises(LogError, match="no rows"):
        pad_masks([], 0)
