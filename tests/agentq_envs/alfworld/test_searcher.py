from __future__ import annotations

import random

import pytest

from agentq_data.alfworld.generator.rooms import KINDS
from agentq_envs.alfworld.demonstrations import (
    DemonstrationSettings,
    play,
    play_all,
    react_examples,
)
from agentq_envs.alfworld.env import AlfworldEnv
from agentq_envs.alfworld.notes import Notes
from agentq_envs.alfworld.panels import load_panel
from agentq_envs.alfworld.searcher import CAREFUL, HASTY, IDLE, Habits, Searcher, read_wish

TASKS = load_panel("embedded-train").tasks[:60]


def test_careful_players_solve_the_tasks_by_looking(env: AlfworldEnv) -> None:
    played = list(play_all(env, TASKS, 0, DemonstrationSettings(habits=CAREFUL)))
    assert sum(episode.success for episode in played) >= 0.95 * len(TASKS)
    # They need longer than the expert, who knows where things are.
    longer = 0
    for episode in played:
        env.reset(options={"task": episode.task})
        longer += len(episode.steps) - len(env.expert_plan() or ())
    assert longer > len(TASKS)


def test_habits_cost_time_or_success(env: AlfworldEnv) -> None:
    def mean(habits: Habits) -> tuple[float, float]:
        played = list(play_all(env, TASKS[:30], 0, DemonstrationSettings(habits=habits)))
        return (
            sum(episode.success for episode in played) / 30,
            sum(len(episode.steps) for episode in played) / 30,
        )

    careful, hasty, idle = mean(CAREFUL), mean(HASTY), mean(IDLE)
    assert hasty[1] > careful[1]
    assert idle[1] > hasty[1]
    assert idle[0] < careful[0]


def test_a_demonstration_is_a_function_of_task_and_seed(env: AlfworldEnv) -> None:
    settings = DemonstrationSettings(draws=3, values=4)
    first = play(env, TASKS[0], 5, settings)
    assert play(env, TASKS[0], 5, settings) == first
    assert any(play(env, TASKS[0], seed, settings) != first for seed in (6, 7, 8))
    for step in first.steps:
        assert step.draws[0] == step.values[0][0] == step.action
        assert len(step.draws) == 3
        assert len({action for action, _ in step.values}) == len(step.values) <= 4
        assert all(0 <= value <= 1 for _, value in step.values)


def test_valued_actions_are_the_environments(env: AlfworldEnv) -> None:
    episode = play(env, TASKS[3], 1, DemonstrationSettings(values=3))
    env.reset(seed=1, options={"task": TASKS[3]})
    for step in episode.steps:
        assert list(step.messages) == list(env.prompt(env))
        actions = [action for action, _ in step.values]
        assert env.lookahead(actions) == [value for _, value in step.values]
        env.step(step.action)


def test_players_read_notes_and_nothing_else() -> None:
    notes = Notes("put a mug in desk", ("desk 1", "shelf 1"), seen={"shelf 1": ("mug 2",)})
    player = Searcher(CAREFUL, random.Random(0))
    assert player.act(notes, ["go to desk 1", "go to shelf 1"]) == "go to shelf 1"
    assert player.act(notes, ["look", "take mug 2 from shelf 1"]) == "take mug 2 from shelf 1"
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
