"""The environment: actions, observations to the letter, ends, snapshots, refusals."""

from __future__ import annotations

import pickle
from pathlib import Path

import gymnasium
import pytest

from agentq.errors import ActionError, ConfigError, DataError, TaskError
from agentq_data.hotpotqa.questions import Question
from agentq_envs.hotpotqa.corpus import MemoryCorpus
from agentq_envs.hotpotqa.env import HotPotQAEnv
from agentq_envs.hotpotqa.loading import load_tasks
from agentq_envs.hotpotqa.tasks import TaskSet

from .conftest import PAGES, QUESTIONS

IDA = "Ida Bell is a director. She was born early. She likes tea. She likes rain.. She likes rain more."


def observe(env: HotPotQAEnv, *actions: str) -> str:
    observation = ""
    for action in actions:
        observation, *_ = env.step(action)
    return observation


def test_a_search_shows_five_sentences_of_the_page(env: HotPotQAEnv) -> None:
    assert observe(env, "Search[ ida bell ]") == IDA
    assert env.session.page == "Ida Bell"


def test_titles_that_differ_in_case_alone(env: HotPotQAEnv) -> None:
    assert observe(env, "search[Ash Hill]").startswith("Ash Hill is a town")
    assert observe(env, "search[ASH hill]") == "This is another spelling.."


def test_a_missing_page_names_similar_ones_and_keeps_the_open_one(env: HotPotQAEnv) -> None:
    observe(env, "search[Ida Bell]")
    found = observe(env, "search[Bell Cafe]")
    assert found == "Could not find Bell Cafe. Similar: ['Café Bell', 'Ida Bell']."
    assert env.session.page == "Ida Bell"
    assert observe(env, "search[zzz]") == "Could not find zzz. Similar: []."


def test_an_ambiguous_page_is_asked_for_again_in_brackets(env: HotPotQAEnv) -> None:
    found = observe(env, "search[Ferry]")
    assert found == "Could not find [Ferry]. Similar: ['Ferry', 'Ferry (boat)', 'Otto Ferry']."
    assert env.session.page is None


def test_lookups_go_on_and_start_anew(env: HotPotQAEnv) -> None:
    assert observe(env, "lookup[born]") == "No more results.\n"
    observe(env, "search[Ida Bell]")
    assert observe(env, "lookup[BORN]") == "(Result 1 / 2) She was born early."
    # The same letters in another case are another keyword.
    assert observe(env, "lookup[born]") == "(Result 1 / 2) She was born early."
    assert observe(env, "lookup[born]") == "(Result 2 / 2) She was born in Ash Hill."
    assert observe(env, "lookup[born]") == "No more results.\n"
    env.reset(options={"task": env.tasks.ids[0]})
    observe(env, "search[Ida Bell]", "lookup[born]", "search[nothing such]")
    assert observe(env, "lookup[born]").startswith("(Result 2 / 2)")  # a search in vain resets nothing
    observe(env, "search[Ida Bell]")
    assert observe(env, "lookup[born]").startswith("(Result 1 / 2)")


def test_finish_ends_with_the_exact_match(env: HotPotQAEnv) -> None:
    observation, reward, terminated, truncated, info = env.step(
        "Thought: I know.\nAction: Finish[the ash hill.] yes"
    )
    assert (observation, reward, terminated, truncated) == ("Episode finished, reward = 1", 1.0, True, False)
    assert info["success"]
    assert info["reward"] == {"total": 1.0, "em": 1.0, "f1": 1.0, "precision": 1.0, "recall": 1.0}
    again = env.step("finish[x]")
    assert again[:4] == ("Episode finished, reward = 1", 0.0, True, False)
    assert not again[4]["legal"]
    assert env.steps == 1


def test_a_wrong_answer_scores_in_part_only_by_f1(env: HotPotQAEnv) -> None:
    _, reward, _, _, info = env.step("finish[Ash]")
    assert reward == 0.0
    assert not info["success"]
    assert info["reward"]["f1"] == pytest.approx(2 / 3)


def test_thoughts_and_nonsense_count_as_steps(env: HotPotQAEnv) -> None:
    assert observe(env, "think[What now?]") == "Nice thought."
    observation, reward, terminated, truncated, info = env.step("jump[high]")
    assert (observation, reward, terminated, truncated) == ("Invalid action: jump[high]", 0.0, False, False)
    assert not info["legal"]
    assert env.steps == 2


def test_the_limit_truncates_but_a_last_answer_counts(tasks: TaskSet) -> None:
    env = HotPotQAEnv(tasks=tasks, max_steps=2)
    env.reset(options={"task": tasks.ids[0]})
    assert env.step("think[a]")[2:4] == (False, False)
    assert env.step("think[b]")[2:4] == (False, True)
    assert env.lookahead(["finish[Ash Hill]"]) == [0.0]
    env.reset(options={"task": tasks.ids[0]})
    env.step("think[a]")
    assert env.step("finish[Ash Hill]")[1:4] == (1.0, True, False)


def test_snapshots_hold_the_lookup_of_their_own_state(env: HotPotQAEnv, tasks: TaskSet) -> None:
    observe(env, "search[Ida Bell]", "lookup[born]")
    state = pickle.loads(pickle.dumps(env.snapshot()))
    expected = [env.step(action)[0] for action in ("lookup[born]", "search[Ash Hill]", "lookup[town]")]
    other = HotPotQAEnv(tasks=tasks)
    observation, info = other.restore(state)
    assert observation == "(Result 1 / 2) She was born early."
    assert info["page"] == "Ida Bell"
    assert [
        other.step(action)[0] for action in ("lookup[born]", "search[Ash Hill]", "lookup[town]")
    ] == expected
    env.restore(state)
    assert env.actions == ("search[Ida Bell]", "lookup[born]")


def test_a_snapshot_of_another_task_set_is_refused(env: HotPotQAEnv) -> None:
    other = HotPotQAEnv(tasks=TaskSet(QUESTIONS[1:], MemoryCorpus(PAGES)))
    with pytest.raises(TaskError, match="is not among these 2 questions"):
        other.restore(env.snapshot())


def test_tasks_are_drawn_by_seed(tasks: TaskSet) -> None:
    env = HotPotQAEnv(tasks=tasks)
    drawn = [env.reset(seed=seed)[1]["task"] for seed in range(20)]
    assert drawn == [env.reset(seed=seed)[1]["task"] for seed in range(20)]
    assert set(drawn) == set(tasks.ids)
    env.reset(seed=5)
    follow = [env.reset()[1]["task"] for _ in range(5)]
    env.reset(seed=5)
    assert [env.reset()[1]["task"] for _ in range(5)] == follow


def test_templates_are_for_policies_that_sample_admissible_actions(tasks: TaskSet) -> None:
    assert "admissible_actions" not in HotPotQAEnv(tasks=tasks).reset(seed=0)[1]
    env = HotPotQAEnv(tasks=tasks, templates=True)
    _, info = env.reset(seed=0)
    assert info["admissible_actions"] == ["search[<free text>]", "lookup[<free text>]", "finish[<free text>]"]
    assert env.step("finish[x]")[4]["admissible_actions"] == []


def test_it_is_a_gymnasium_environment(made_tasks: TaskSet) -> None:
    from gymnasium.utils.env_checker import check_env

    env = gymnasium.make("agentq/HotPotQA-v0")
    check_env(env.unwrapped, skip_render_check=True)
    observation, info = env.reset(seed=1, options={"task": made_tasks.ids[4]})
    assert observation == made_tasks.questions[4].question
    assert info["messages"][0]["content"] == f"Question: {observation}"
    assert env.unwrapped.provenance()["data_hash"] == made_tasks.data_hash  # type: ignore[attr-defined]


def test_refusals(env: HotPotQAEnv, tasks: TaskSet, tmp_path: Path) -> None:
    with pytest.raises(ActionError, match="expected a text"):
        env.step(3)  # type: ignore[arg-type]
    with pytest.raises(ActionError, match="has not begun"):
        HotPotQAEnv(tasks=tasks).step("finish[x]")
    with pytest.raises(ConfigError, match="max_steps is 0"):
        HotPotQAEnv(tasks=tasks, max_steps=0)
    with pytest.raises(ConfigError, match="the seed is -1"):
        env.reset(seed=-1)
    with pytest.raises(TaskError, match="is not among these 3 questions"):
        env.reset(options={"task": "hotpotqa:9:00000000"})
    with pytest.raises(ConfigError, match="name one with contexts"):
        load_tasks(pages="own")
    with pytest.raises(DataError, match="has no answer"):
        TaskSet((Question("1", "Who?", None),), MemoryCorpus(PAGES))
    (tmp_path / "q.json").write_text('[{"question": "Who?", "answer": "x"}]')
    with pytest.raises(DataError, match="nothing to search"):
        load_tasks(tmp_path / "q.json")
    with pytest.raises(DataError, match="has no context"):
        load_tasks(tmp_path / "q.json", pages="own")
