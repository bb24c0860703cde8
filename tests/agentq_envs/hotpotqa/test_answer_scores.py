"""Scores by hand, actions as texts, prompts, and the reference vectors where they lie beside the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentq.policies.parsing import parse_action as find_action
from agentq_envs.hotpotqa.actions import canonical, parse_action
from agentq_envs.hotpotqa.env import HotPotQAEnv
from agentq_envs.hotpotqa.prompt import PromptSettings, prompt_with, react_prompt
from agentq_envs.hotpotqa.scoring import normalise, score_answer
from agentq_envs.hotpotqa.tasks import TaskSet
from tests.conformance.runner import load_checks, read_rows


@pytest.mark.parametrize("name", ["em_f1", "page_obs"])
def test_reference_vectors(shared_data: Path, name: str) -> None:
    rows, broken = read_rows(shared_data / "hotpotqa" / "vectors" / f"{name}.jsonl")
    result = load_checks("hotpotqa")[name](rows, shared_data)
    assert not broken
    assert result.failures == []
    assert result.passed == len(rows)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Cat!", "cat"),
        ("A.n apple", "apple"),
        ("theatre", "theatre"),
        ("«a»", "« »"),
        ("", ""),
        ("Ça va", "ça va"),
    ],
)
def test_normalised(text: str, expected: str) -> None:
    assert normalise(text) == expected


@pytest.mark.parametrize(
    ("prediction", "gold", "em", "f1"),
    [
        ("Ash Hill", "the ash hill.", 1.0, 1.0),
        ("yes", "no", 0.0, 0.0),
        ("yes it is", "yes", 0.0, 0.0),
        ("", "", 1.0, 0.0),
        ("b b c", "b c c", 0.0, 2 / 3),
        ("d", "b", 0.0, 0.0),
    ],
)
def test_scores(prediction: str, gold: str, em: float, f1: float) -> None:
    score = score_answer(prediction, gold)
    assert (score.em, score.f1) == pytest.approx((em, f1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Search[Ash Hill]", "search[Ash Hill]"),
        ("  FINISH [yes] and more]", "finish[yes]"),
        ("lookup[a[b]c]", "lookup[a[b]"),
        ("Thought: I see [1].\nAction 2: Lookup[born]\nObservation 2: finish[no]", "lookup[born]"),
        ("finish[]", "finish[]"),
        ("search[no end", None),
        ("click[buy]", None),
        ("", None),
    ],
)
def test_actions_are_found_in_replies(text: str, expected: str | None) -> None:
    assert canonical(text) == expected
    line = find_action(text, canonical)
    assert line.action == expected
    action = parse_action(text)
    assert (None if action is None else str(action)) == expected


def test_the_compact_prompt_shows_everything_once(env: HotPotQAEnv) -> None:
    env.step("search[Ash Hill]")
    (message,) = env.step("bad\ntext")[4]["messages"]
    assert message["content"].split("\n") == [
        "Question: Where was the maker of the film Otto Ferry born?",
        "search[Ash Hill]",
        "Ash Hill is a town of 4,000 people..",
        "bad text",
        "Invalid action: bad text",
    ]


def test_prompts_can_be_shortened(tasks: TaskSet) -> None:
    env = HotPotQAEnv(tasks=tasks, prompt=prompt_with(PromptSettings(words=3, turns=1)))
    env.reset(options={"task": tasks.ids[0]})
    env.step("search[Otto Ferry]")
    (message,) = env.step("search[Ash Hill]")[4]["messages"]
    assert message["content"].split("\n")[1:] == ["search[Ash Hill]", "Ash Hill is"]


def test_the_react_prompt_numbers_thoughts_and_actions(tasks: TaskSet) -> None:
    env = HotPotQAEnv(tasks=tasks, prompt=react_prompt)
    env.reset(options={"task": tasks.ids[0]})
    env.step("Thought: a town\nAction: Search[Ash Hill]")
    (message,) = env.step("lookup[people]")[4]["messages"]
    assert message["content"].split("\n")[-6:] == [
        "Question: Where was the maker of the film Otto Ferry born?",
        "Thought 1: a town",
        "Action 1: Search[Ash Hill]",
        "Observation 1: Ash Hill is a town of 4,000 people..",
        "Action 2: lookup[people]",
        "Observation 2: (Result 1 / 1) Ash Hill is a town of 4,000 people..",
    ]
