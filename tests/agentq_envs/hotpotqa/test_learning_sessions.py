"""Sessions that recipes learn from: of which worlds, and with how many comparisons."""

from __future__ import annotations

import pytest

from agentq.errors import ConfigError
from agentq_envs.demonstrations import DemonstrationSettings
from agentq_envs.hotpotqa.benchmark import Benchmark
from agentq_envs.hotpotqa.env import HotPotQAEnv
from agentq_envs.hotpotqa.tasks import TaskSet

SETTINGS = DemonstrationSettings(keep=0.0)


def played(benchmark: Benchmark, count: int) -> list[str]:
    return [session.task for session in benchmark.sessions(count, 3, SETTINGS)]


def types(tasks: TaskSet, played: list[str]) -> list[str]:
    return [tasks.questions[tasks.index(task)].type for task in played]


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_comparisons_have_their_share(made_tasks: TaskSet, share: float) -> None:
    found = played(Benchmark(further_worlds=0, comparisons=share), 40)
    assert len(set(found)) == 40
    assert types(made_tasks, found).count("comparison") == 40 * share


def test_without_a_share_questions_come_as_they_are(made_tasks: TaskSet) -> None:
    found = types(made_tasks, played(Benchmark(further_worlds=0), 200))
    assert 0.15 < found.count("comparison") / 200 < 0.4


def test_further_worlds_begin_where_asked() -> None:
    own = set(HotPotQAEnv().tasks.ids)
    other = set(HotPotQAEnv(world_seed=70).tasks.ids)
    found = played(Benchmark(further_worlds=1, further_from=70), 20)
    assert [task in own for task in found] == [True] * 10 + [False] * 10
    assert set(found[10:]) <= other


def test_both_answers_of_a_comparison_are_tried_in_every_state(made_tasks: TaskSet) -> None:
    settings = DemonstrationSettings(alternatives=3)
    benchmark = Benchmark(further_worlds=0, comparisons=0.5, both_answers=True)
    for session in benchmark.sessions(12, 3, settings):
        question = made_tasks.questions[made_tasks.index(session.task)]
        titles = [title for title, _ in question.supporting_facts]
        answers = ["yes", "no"] if question.answer in ("yes", "no") else titles
        for step in session.steps:
            values = {tried.action: tried.value for tried in step.alternatives}
            assert len(values) <= 3
            if question.type == "comparison":
                assert {f"finish[{answer}]" for answer in answers} <= set(values)
                assert sorted(values[f"finish[{answer}]"] for answer in answers) == [0.0, 1.0]


def test_a_reader_alone_seldom_tries_both(made_tasks: TaskSet) -> None:
    settings = DemonstrationSettings(alternatives=3)
    sessions = Benchmark(further_worlds=0, comparisons=1.0).sessions(12, 3, settings)
    tried = [
        sum(a.action.startswith("finish[") for a in step.alternatives)
        for played in sessions
        for step in played.steps
    ]
    assert sum(count == 2 for count in tried) < len(tried) / 2


def test_states_in_which_a_reader_reads_on_have_their_share() -> None:
    settings = DemonstrationSettings()

    def answering(share: float) -> list[bool]:
        sessions = Benchmark(further_worlds=0, unanswered=share).sessions(40, 3, settings)
        return [step.action.startswith("finish[") for played in sessions for step in played.steps]

    everything, some, none = answering(1.0), answering(0.2), answering(0.0)
    assert none == [True] * sum(none)
    assert sum(everything) >= 30
    reading = everything.count(False)
    assert 0.1 * reading < some.count(False) < 0.35 * reading


def tried_answers(guesses: int) -> list[tuple[str, dict[str, float], int]]:
    """Prompt, answers tried with their values, number of actions tried, of each state of a few sessions."""
    settings = DemonstrationSettings(alternatives=4)
    return [
        (
            str(step.messages[-1]["content"]),
            {a.action[7:-1]: a.value for a in step.alternatives if a.action.startswith("finish[")},
            len(step.alternatives),
        )
        for played in Benchmark(further_worlds=0, comparisons=0.0, guesses=guesses).sessions(20, 3, settings)
        for step in played.steps
    ]


def test_answers_picked_from_what_was_read_are_tried_in_every_state() -> None:
    none, two = tried_answers(0), tried_answers(2)
    rest = [entry for entry in two if "\n" in entry[0]]
    assert all(count <= 4 for _, _, count in two)
    assert sum(len(answers) >= 2 for _, answers, _ in rest) > 0.8 * len(rest)
    assert sum(len(answers) >= 2 for _, answers, _ in none) < 0.5 * len(none)
    wrong = [(prompt, answer) for prompt, answers, _ in two for answer, value in answers.items() if not value]
    assert len(wrong) > len(rest)
    assert all(answer in prompt for prompt, answer in wrong)


def test_before_anything_was_read_there_is_nothing_to_guess() -> None:
    """Else the right answer, which nobody can know there, would be learnt as one worth giving."""
    assert not [answers for prompt, answers, _ in tried_answers(2) if "\n" not in prompt and answers]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"comparisons": 1.5}, "comparisons=1.5"),
        ({"unanswered": -0.1}, "unanswered=-0.1"),
        ({"further_from": -1}, "further_from=-1"),
        ({"guesses": -1}, "guesses=-1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(options: dict[str, float], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Benchmark(**options)  # type: ignore[arg-type]
