"""The harness plays the environment: messages in, text out, the oracle by lookahead, everything in the record."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from agentq.agent import Agent
from agentq.policies.scripted import ScriptedPolicy
from agentq.selectors.best_of_n import BestOfN
from agentq.selectors.first import First
from agentq.types import Messages
from agentq_envs.hotpotqa.actions import canonical
from agentq_envs.hotpotqa.env import HotPotQAEnv
from agentq_envs.hotpotqa.panels import load_panel
from agentq_envs.hotpotqa.tasks import TaskSet
from agentq_eval.rollouts import Episode, run_episodes
from agentq_eval.running.deciders import AgentDecider, Decider, OracleDecider


@pytest.fixture
def guesser(made_tasks: TaskSet) -> ScriptedPolicy:
    """Knows what might be done, not what is right now: opens a page, or gives the right or a wrong answer."""
    by_text = {question.question: question for question in made_tasks.questions}

    def reply(messages: Messages, admissible: Sequence[str] | None, rng: np.random.Generator) -> str:
        assert admissible is None
        question = by_text[str(messages[-1]["content"]).split("\n")[0].removeprefix("Question: ")]
        titles = [f"search[{title}]" for title, _ in question.supporting_facts]
        action = str(rng.choice([*titles, f"finish[{question.answer}]", "finish[nobody]", "Lookup[the]"]))
        return f"Thought: maybe.\nAction: {action}"

    return ScriptedPolicy(reply, canonical)


def success(decider: Decider, tasks: TaskSet) -> float:
    episodes = [Episode(task, 0) for task in load_panel("embedded-validation").tasks[:40]]
    played = list(run_episodes(lambda: HotPotQAEnv(tasks=tasks), episodes, decider))
    assert all(len(trajectory.steps) <= 7 for trajectory in played)
    assert {step.info["legal"] for trajectory in played for step in trajectory.steps} == {True}
    return sum(trajectory.success for trajectory in played) / len(played)


def test_the_oracle_wins_where_sampling_does_not(guesser: ScriptedPolicy, made_tasks: TaskSet) -> None:
    sampled = success(AgentDecider(Agent(guesser, First(), n=1)), made_tasks)
    oracle = success(OracleDecider(guesser, BestOfN(), n=8), made_tasks)
    assert 0.2 < sampled < 0.8
    assert oracle > 0.95
