"""Readers: a careful one is the expert, the population is of mixed quality, demonstrations value what they try."""

from __future__ import annotations

import random

import pytest

from agentq_envs.demonstrations import DemonstrationSettings
from agentq_envs.hotpotqa.demonstrations import play, play_all
from agentq_envs.hotpotqa.env import HotPotQAEnv
from agentq_envs.hotpotqa.expert import Expert
from agentq_envs.hotpotqa.panels import load_panel
from agentq_envs.hotpotqa.readers import CAREFUL, HASTY, LOST, SLOPPY, Reader, ReadingHabits
from agentq_envs.hotpotqa.tasks import TaskSet


def success(env: HotPotQAEnv, habits: ReadingHabits, tasks: tuple[str, ...]) -> float:
    right = 0
    for task in tasks:
        env.reset(options={"task": task})
        reader = Reader(Expert(env.question, env.corpus), habits, random.Random(task))
        info: dict[str, object] = {}
        while not env.session.ended:
            info = env.step(reader.act(env.session))[4]
        right += bool(info["success"])
    return right / len(tasks)


def test_habits_cost_success(made_tasks: TaskSet) -> None:
    env, tasks = HotPotQAEnv(tasks=made_tasks), load_panel("embedded-validation").tasks[:150]
    assert success(env, ReadingHabits(), tasks) == 1.0
    careful, hasty, sloppy, lost = (success(env, habits, tasks) for habits in (CAREFUL, HASTY, SLOPPY, LOST))
    assert careful > 0.95
    assert 0.2 < lost < 0.8
    assert 0.2 < sloppy < 0.8
    assert 0.3 < hasty < 0.9


def test_demonstrations_are_repeatable_and_of_mixed_quality(made_tasks: TaskSet) -> None:
    env, tasks = HotPotQAEnv(tasks=made_tasks), load_panel("embedded-train").tasks[:120]
    sessions = list(play_all(env, tasks, 0))
    assert sessions == list(play_all(env, tasks, 0))
    assert 0.4 < sum(session.success for session in sessions) / len(sessions) < 0.9
    assert all(session.score == float(session.success) for session in sessions)


def test_alternatives_have_exact_values(made_tasks: TaskSet) -> None:
    env, settings = HotPotQAEnv(tasks=made_tasks), DemonstrationSettings(draws=3, alternatives=4, gamma=0.9)
    steps = [step for task in made_tasks.ids[:30] for step in play(env, task, 1, settings).steps]
    assert all(len(step.draws) == 3 and step.draws[0] == step.action for step in steps)
    assert all(step.alternatives[0].action == step.action for step in steps)
    assert {len(step.alternatives) for step in steps} > {2, 3}
    values = [a.value for step in steps for a in step.alternatives]
    assert 0.0 <= min(values) < 0.5 < max(values) <= 1.0
    finished = [a for step in steps for a in step.alternatives if a.action.startswith("finish[")]
    assert {a.value for a in finished} == {0.0, 1.0}
    assert all("Episode finished" in a.text for a in finished)


@pytest.mark.parametrize("keep", [0.0, 1.0])
def test_steps_can_be_left_out(made_tasks: TaskSet, keep: float) -> None:
    env = HotPotQAEnv(tasks=made_tasks)
    session = play(env, made_tasks.ids[0], 0, DemonstrationSettings(keep=keep))
    assert bool(session.steps) is (keep == 1.0)
    assert len(play(env, made_tasks.ids[0], 0, DemonstrationSettings(most_steps=1)).steps) == 1
