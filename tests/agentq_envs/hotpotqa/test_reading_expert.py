"""The scripted expert answers everything; lookahead equals trying; the official questions are answerable."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from agentq.errors import TaskError
from agentq_data.hotpotqa.pages import WikiPage
from agentq_data.hotpotqa.questions import Question
from agentq_envs.hotpotqa.corpus import MemoryCorpus
from agentq_envs.hotpotqa.env import HotPotQAEnv
from agentq_envs.hotpotqa.expert import Expert, evidence
from agentq_envs.hotpotqa.loading import load_tasks
from agentq_envs.hotpotqa.session import Session, advance
from agentq_envs.hotpotqa.tasks import TaskSet

from .conftest import PAGES, QUESTIONS


def played(env: HotPotQAEnv, task: str) -> tuple[float, int]:
    """Score and number of steps of the expert."""
    env.reset(options={"task": task})
    score, ended = 0.0, False
    while not ended:
        _, reward, terminated, truncated, _ = env.step(env.expert_action())
        score, ended = score + reward, terminated or truncated
    return score, env.steps


def test_the_expert_answers_every_question_of_the_made_world(made_tasks: TaskSet) -> None:
    env = HotPotQAEnv(tasks=made_tasks)
    outcomes = [played(env, task) for task in made_tasks.ids]
    assert {score for score, _ in outcomes} == {1.0}
    assert {steps for _, steps in outcomes} == {3, 4, 5}


@pytest.mark.parametrize("pages", ["all", "own"])
def test_the_expert_answers_the_official_sample(shared_data: Path, pages: str) -> None:
    tasks = load_tasks(shared_data / "hotpotqa" / "distractor_train100.jsonl", pages=pages)  # type: ignore[arg-type]
    env = HotPotQAEnv(tasks=tasks)
    outcomes = [played(env, task) for task in tasks.ids]
    assert {score for score, _ in outcomes} == {1.0}
    assert len(tasks.corpus) == 994


def test_a_plan_goes_on_from_anywhere(env: HotPotQAEnv) -> None:
    plan = ["search[Otto Ferry]", "lookup[made]", "search[Ida Bell]", "lookup[Hill]", "finish[Ash Hill]"]
    for number, expected in enumerate(plan):
        left = Expert(env.question, env.corpus).plan(env.session)
        assert len(left) == len(plan) - number
        action = env.expert_action()
        assert action.partition("[")[0] == expected.partition("[")[0]
        env.step(action)
        env.step("think[and now?]") if number == 1 else None
    assert env.session.answer == "Ash Hill"


def best_return(
    session: Session, steps: int, gamma: float, corpus: MemoryCorpus, question: Question
) -> float:
    """By trying: every search, every lookup that any sentence makes sensible, and the answer once all is read."""
    if steps == 0 or session.ended:
        return 0.0
    needed = {(page.title, place) for page, places in evidence(question, corpus) for place in places}
    if needed <= session.read:
        return 1.0
    actions = [f"search[{page.title}]" for page, _ in evidence(question, corpus)]
    actions += [f"lookup[{word}]" for word in ("made", "was", "born", "Ash Hill", "She was born in Ash Hill")]
    later = (advance(session, action, corpus, str(question.answer)).session for action in actions)
    return gamma * max(best_return(after, steps - 1, gamma, corpus, question) for after in later)


@pytest.mark.parametrize(("prefix", "steps"), list(product((0, 1, 2, 3), (1, 3, 5))))
def test_lookahead_equals_trying(env: HotPotQAEnv, prefix: int, steps: int) -> None:
    corpus, question = MemoryCorpus(PAGES), QUESTIONS[0]
    for action in ("search[Otto Ferry]", "lookup[made]", "search[Ida Bell]")[:prefix]:
        env.step(action)
    expert = Expert(question, corpus)
    for gamma in (0.5, 1.0):
        assert expert.value(env.session, steps, gamma) == pytest.approx(
            best_return(env.session, steps, gamma, corpus, question)
        )


def test_lookahead_values_actions_without_taking_them(env: HotPotQAEnv) -> None:
    before = env.snapshot()
    actions = ["finish[Ash Hill]", "finish[Ash]", "search[Otto Ferry]", "search[Ferry (boat)]", "nonsense"]
    values = env.lookahead(actions, gamma=0.9)
    assert values == pytest.approx([1.0, 0.0, 0.9**4, 0.9**5, 0.9**5])
    assert env.snapshot() == before


def test_a_repeated_sentence_is_reached_past_its_copies() -> None:
    text = "One is here. Two is here. Three is here. Four is here. Five is here. Same old. Same old. Same old"
    corpus = MemoryCorpus([WikiPage("A", text)])
    question = Question("1", "What?", "Same", supporting_facts=(("A", 6),))
    session, steps = Session("t"), 0
    expert = Expert(question, corpus)
    while not session.ended:
        session, steps = advance(session, expert.act(session), corpus, "Same").session, steps + 1
        assert steps < 7
    assert session.answer == "Same"
    assert ("A", 6) in session.read


def test_facts_are_found_across_cut_abbreviations(tmp_path: Path) -> None:
    sentences = ("It opened in St. Cloud in 1902.", " It burnt down.", " Mr. Bell built it anew.")
    question = Question("1", "?", "a", "", "", (("A", 0), ("A", 2), ("A", 9)), (("A", sentences),))
    corpus = MemoryCorpus(question.pages())
    ((page, places),) = evidence(question, corpus)
    assert [page.sentences[i] for i in places] == [
        "It opened in St.", "Cloud in 1902.", "Mr.", "Bell built it anew..",
    ]  # fmt: skip


def test_without_known_facts_there_is_no_expert(tasks: TaskSet) -> None:
    env = HotPotQAEnv(tasks=tasks)
    env.reset(options={"task": tasks.ids[2]})
    with pytest.raises(TaskError, match="no supporting facts"):
        env.expert_action()
    with pytest.raises(TaskError, match="no supporting facts"):
        env.lookahead(["finish[x]"])
