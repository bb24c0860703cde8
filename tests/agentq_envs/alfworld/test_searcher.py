from __future__ import annotations

import random

import pytest

from agentq_data.alfworld.generator.rooms import KINDS
from agentq_envs.alfworld.demonstrations import play, play_all, react_examples
from agentq_envs.alfworld.env import AlfworldEnv
from agentq_envs.alfworld.notes import Notes
from agentq_envs.alfworld.panels import load_panel
from agentq_envs.alfworld.searcher import CAREFUL, HASTY, IDLE, NOVICE, Habits, Searcher, read_wish
from agentq_envs.continuations import ContinuationSettings, continuation_returns
from agentq_envs.demonstrations import DemonstrationSettings

TASKS = load_panel("embedded-train").tasks[:60]


def test_careful_players_solve_the_tasks_by_looking(env: AlfworldEnv) -> None:
    played = list(play_all(env, TASKS, 0, population=((CAREFUL, 1.0),)))
    assert sum(episode.success for episode in played) >= 0.95 * len(TASKS)
    # They need longer than the expert, who knows where things are.
    longer = 0
    for episode in played:
        env.reset(options={"task": episode.task})
        longer += len(episode.steps) - len(env.expert_plan() or ())
    assert longer > len(TASKS)


def test_habits_cost_time_or_success(env: AlfworldEnv) -> None:
    def mean(habits: Habits) -> tuple[float, float]:
        played = list(play_all(env, TASKS[:30], 0, population=((habits, 1.0),)))
        return (
            sum(episode.success for episode in played) / 30,
            sum(len(episode.steps) for episode in played) / 30,
        )

    careful, hasty, idle, novice = mean(CAREFUL), mean(HASTY), mean(IDLE), mean(NOVICE)
    assert hasty[1] > careful[1]
    assert idle[1] > hasty[1]
    assert idle[0] < careful[0]
    assert novice[0] < idle[0]


def test_a_demonstration_is_a_function_of_task_and_seed(env: AlfworldEnv) -> None:
    settings = DemonstrationSettings(draws=3, alternatives=4)
    first = play(env, TASKS[0], 5, settings)
    assert play(env, TASKS[0], 5, settings) == first
    assert any(play(env, TASKS[0], seed, settings) != first for seed in (6, 7, 8))
    for step in first.steps:
        assert step.draws[0] == step.alternatives[0].action == step.action
        assert len(step.draws) == 3
        assert len({tried.action for tried in step.alternatives}) == len(step.alternatives) <= 4
        assert all(0 <= tried.value <= 1 for tried in step.alternatives)


def test_actions_are_valued_by_a_careful_player(env: AlfworldEnv) -> None:
    episode = play(env, TASKS[3], 1, DemonstrationSettings(alternatives=3))
    env.reset(seed=1, options={"task": TASKS[3]})
    for step in episode.steps:
        assert list(step.messages) == list(env.prompt(env))
        actions = [tried.action for tried in step.alternatives]
        played = ContinuationSettings(1, 0.9, 200)
        values = continuation_returns(env, actions, lambda e, _: e.player_action(), 0, played)
        assert values.tolist() == [tried.value for tried in step.alternatives]
        start = env.snapshot()
        for tried in step.alternatives:
            _, _, _, _, info = env.step(tried.action)
            assert (tried.text, tried.changed) == (info["messages"][-1]["content"], info["legal"])
            env.restore(start)
        env.step(step.action)


def test_players_read_notes_and_nothing_else() -> None:
    notes = Notes("put a mug in desk", ("desk 1", "shelf 1"), seen={"shelf 1": ("mug 2",)})
    player = Searcher(CAREFUL, random.Random(0))
    assert player.act(notes, ["go to desk 1", "go to shelf 1"]) == "go to shelf 1"
    assert player.act(notes, ["look", "take mug 2 from shelf 1"]) == "take mug 2 from shelf 1"
    looping, done = Searcher(Habits(loop=1.0), random.Random(0)), ("go to shelf 1", "go to desk 1")
    assert looping.act(notes, ["go to desk 1", "go to shelf 1"], done) == "go to shelf 1"
    assert looping.act(notes, ["go to desk 1"], done) == "go to desk 1"
    unknown = Notes("tidy up", ("desk 1",))
    assert player.act(unknown, ["look"]) == "look"


@pytest.mark.parametrize("task", KINDS, ids=lambda task: task.name)
def test_goal_phrases_of_both_forms_are_read(task: object) -> None:
    for phrase in task.phrases:  # type: ignore[attr-defined]
        wish = read_wish(phrase.format(o="mug", t="coffeetable"))
        assert wish is not None
        assert (wish.task, wish.wanted, wish.target) == (task, "mug", "coffeetable")
    assert read_wish("tidy up") is None


def test_react_examples_are_solved_games_of_the_type(env: AlfworldEnv) -> None:
    examples = react_examples(env, TASKS, "pick_heat_then_place_in_recep")
    assert len(examples) == 2
    for text in examples:
        assert text.startswith("You are in the middle of a room.")
        assert "\n> heat " in text
        assert "-= Welcome" not in text
