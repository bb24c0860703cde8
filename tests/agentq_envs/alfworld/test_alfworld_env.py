from __future__ import annotations

import json
import pickle
import random
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

from agentq.errors import ActionError, ConfigError, TaskError
from agentq_data.alfworld.game_file import GameFile, write_game
from agentq_data.alfworld.generator import GeneratedGames
from agentq_envs.alfworld import AlfworldEnv, Library
from agentq_envs.alfworld.panels import load_panel
from agentq_envs.continuations import continuation_returns


def play(env: AlfworldEnv, actions: list[str], **reset: Any) -> list[Any]:
    """Everything an agent could see of an episode."""
    return [env.reset(**reset), *(env.step(action) for action in actions)]


def test_gymnasium_makes_and_checks_it() -> None:
    env = gymnasium.make("agentq_envs:agentq/ALFWorld-v0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
    assert env.observation_space.contains(env.reset(seed=0)[0])
    assert "agentq/ALFWorld-v0" in gymnasium.registry


def test_gymnasium_vectors_it() -> None:
    many = gymnasium.make_vec("agentq/ALFWorld-v0", num_envs=2, vectorization_mode="sync")
    observations, _ = many.reset(seed=3)
    assert list(observations) == [AlfworldEnv().reset(seed=seed)[0] for seed in (3, 4)]


def test_the_expert_wins_and_the_reward_comes_in_parts(env: AlfworldEnv) -> None:
    kinds: set[str] = set()
    for index in range(12):
        env.reset(options={"index": index})
        plan, step = env.expert_plan(), env.step("look")
        assert plan
        for left, action in zip(range(len(plan), 0, -1), plan, strict=True):
            assert env.expert_action() == action
            assert env.lookahead([action, "dance"], 0.5) == [0.5 ** (left - 1), 0.5**left]
            step = env.step(action)
        _, reward, terminated, truncated, info = step
        assert (reward, terminated, truncated, info["success"]) == (1.0, True, False, True)
        assert info["reward"]["total"] == 1.0
        assert all(part == 1.0 for part in info["reward"].values())
        assert len(info["reward"]) > 1
        kinds.add(info["task_type"])
        after = env.step("look")
        assert after[1:4] == (0.0, True, False)  # the episode is over
        assert env.lookahead(["look"]) == [0.0]
    assert len(kinds) == 6


def test_the_limit_truncates_at_its_step() -> None:
    env = AlfworldEnv(max_steps=3)
    steps = play(env, ["dance", "look", "inventory", "look"], seed=0)[1:]
    assert [step[1:4] for step in steps] == [(0.0, False, False)] * 2 + [(0.0, False, True)] * 2
    assert [step[4]["legal"] for step in steps] == [False, True, True, False]
    assert steps[2][4]["reward"]["total"] == 0.0
    assert env.lookahead(["look"]) == [0.0]


def test_reaching_the_goal_with_the_last_step_is_no_truncation() -> None:
    env = AlfworldEnv()
    env.reset(seed=1)
    plan = list(env.expert_plan() or ())
    env = AlfworldEnv(max_steps=len(plan))
    assert play(env, plan, seed=1)[-1][1:4] == (1.0, True, False)


def test_a_task_is_what_its_id_says(env: AlfworldEnv) -> None:
    task = env.library.task_at(7)
    _, info = env.reset(seed=5, options={"task": task})
    assert info["task"] == task == env.task
    assert env.reset(options={"task": env.file.game_id})[1]["task"] == task  # the bare game id does as well
    assert env.reset(options={"index": 7})[1]["task"] == task


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("alfworld:household/nothing/trial_0_000001", "unknown task"),
        ("", "unknown task"),
        (5, "unknown task"),
        ("household/pick_and_place_simple-Mug-None-Desk-301/trial_1_000000", "unknown task"),
        ("../../etc", "unknown task"),
    ],
)
def test_unknown_tasks_are_refused(env: AlfworldEnv, task: Any, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        env.reset(options={"task": task})


def test_a_task_of_other_content_is_refused(env: AlfworldEnv) -> None:
    task = env.library.task_at(0)
    with pytest.raises(TaskError, match="has another content here"):
        env.reset(options={"task": task[:-8] + "00000000"})
    with pytest.raises(TaskError, match="game 99999 is out of range"):
        env.reset(options={"index": 99999})


def test_a_seed_alone_draws_the_game(env: AlfworldEnv) -> None:
    first = [env.reset(seed=seed)[1]["task"] for seed in range(10)]
    assert first == [env.reset(seed=seed)[1]["task"] for seed in range(10)]
    assert len(set(first)) == 10
    env.reset(seed=1)
    unseeded = [env.reset()[1]["task"] for _ in range(4)]
    env.reset(seed=1)
    assert unseeded == [env.reset()[1]["task"] for _ in range(4)]


@pytest.mark.parametrize("action", [None, 3, b"look", ["look"]])
def test_actions_that_are_no_text_are_refused(env: AlfworldEnv, action: Any) -> None:
    env.reset(seed=0)
    with pytest.raises(ActionError, match="expected a text"):
        env.step(action)


def test_nothing_goes_before_reset(env: AlfworldEnv) -> None:
    for call in (lambda: env.step("look"), env.snapshot, lambda: env.lookahead(["look"]), lambda: env.file):
        with pytest.raises(ActionError, match="call reset"):
            call()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"backend": "thor"}, "backend 'thor' is unknown"),
        ({"thoughts": "yes"}, "thoughts 'yes' is unknown"),
        ({"max_steps": 0}, "max_steps is 0"),
        ({"games": "official"}, "ALFWORLD_DATA is not set"),
    ],
)
def test_impossible_settings_are_refused(
    monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any], message: str
) -> None:
    monkeypatch.delenv("ALFWORLD_DATA", raising=False)
    with pytest.raises(ConfigError, match=message):
        AlfworldEnv(**wrong)


@pytest.mark.parametrize("seed", [-1, "3", 1.5])
def test_impossible_seeds_are_refused(env: AlfworldEnv, seed: Any) -> None:
    with pytest.raises(ConfigError, match="expected an int of at least 0"):
        env.reset(seed=seed)


@given(
    actions=st.lists(
        st.one_of(st.text(), st.sampled_from(["look", " LOOK", "put a in b", "think: x"])), max_size=6
    )
)
@settings(deadline=None, max_examples=40)
def test_no_text_ever_raises_and_illegal_ones_change_nothing(actions: list[str]) -> None:
    env = AlfworldEnv(old_wording=True, thoughts="count")
    env.reset(seed=0)
    for action in actions:
        before = env.state
        *_, info = env.step(action)
        assert env.state == before  # none of these commands changes a household
        assert isinstance(info["legal"], bool)


@pytest.mark.parametrize("put", ["put {} in {}", "put {} on {}", "put {} in/on {}", " put {} in/on {} "])
def test_the_old_wording_is_taken_when_asked_for(put: str) -> None:
    task = next(task for task in load_panel("embedded-train").tasks if "/pick_and_place_simple-" in task)
    for old in (True, False):
        env = AlfworldEnv(old_wording=old)
        env.reset(options={"task": task})
        step = env.step("look")
        for action in env.expert_plan() or ():
            words = action.removeprefix("move ").split(" to ")
            action = put.format(*words) if action.startswith("move ") else action
            assert (
                env.lookahead([action], 1.0) == [float(old or not action.strip().startswith("put"))]
                or not old
            )
            step = env.step(action)
        observation, _, terminated, _, info = step
        assert terminated == info["legal"] == old
        assert observation.startswith("You move the" if old else "Nothing happens.")
        assert env.actions[-1].strip().startswith("put")  # the log keeps what was said


@pytest.mark.parametrize(("thoughts", "counted"), [("count", 2), ("free", 1)])
def test_thoughts_are_answered_and_counted_as_asked(thoughts: Any, counted: int) -> None:
    env = AlfworldEnv(thoughts=thoughts)
    env.reset(seed=0)
    observation, *_, info = env.step("think: first I need to find a mug.")
    assert (observation, info["legal"], env.snapshot().commands) == ("OK.", True, ())
    env.step("look")
    assert env.steps == counted
    assert env.observations[-2] == "OK."


def test_endless_free_thoughts_end_the_episode() -> None:
    env = AlfworldEnv(thoughts="free", max_steps=4)
    env.reset(seed=0)
    ended = [env.step("think: hm")[3] for _ in range(8)]
    assert ended == [False] * 7 + [True]


def test_without_thoughts_a_thought_is_no_command(env: AlfworldEnv) -> None:
    env.reset(seed=0)
    assert env.step("think: hm")[0] == "Nothing happens."


@given(seed=st.integers(0, 8), cut=st.integers(0, 8))
@settings(deadline=None, max_examples=25)
def test_a_restored_episode_goes_on_identically(seed: int, cut: int) -> None:
    env = AlfworldEnv(max_steps=14)
    env.reset(seed=seed)
    rng = random.Random(seed)

    def walk(env: AlfworldEnv, steps: int) -> list[Any]:
        return [env.step(rng.choice([*env.admissible, "dance"])) for _ in range(steps)]

    walk(env, cut)
    stored, state = pickle.dumps(env.snapshot()), rng.getstate()
    shown = (env.observation, env.admissible)
    first = walk(env, 8)
    rng.setstate(state)
    other = AlfworldEnv(max_steps=14)
    observation, info = other.restore(pickle.loads(stored))
    assert (observation, tuple(info["admissible_actions"])) == shown
    assert walk(other, 8) == first
    assert len(stored) < 20_000


def test_a_snapshot_of_other_games_is_refused(env: AlfworldEnv) -> None:
    env.reset(seed=0)
    with pytest.raises(TaskError, match="unknown task"):
        AlfworldEnv(games_seed=1).restore(env.snapshot())


def test_continuations_value_actions_as_lookahead_does(env: AlfworldEnv) -> None:
    env.reset(seed=2)
    actions = [*env.admissible[:4], env.expert_action(), "dance"]
    found = continuation_returns(env, actions, lambda env, seed: env.expert_action(), 0)
    assert found == pytest.approx(env.lookahead(actions, 0.95))
    assert env.steps == 0


def test_environments_share_their_games(tmp_path: Path, small: dict[str, GameFile]) -> None:
    assert AlfworldEnv().library is AlfworldEnv().library
    assert AlfworldEnv().library is not AlfworldEnv(games_seed=1).library
    for game in small.values():
        if game.game_id != small["twice"].game_id or game is small["heat"]:
            write_game(game, tmp_path)
    one, other = AlfworldEnv(tmp_path), AlfworldEnv(str(tmp_path))
    assert one.library is other.library
    assert len(one.library) == 6
    library = Library(GeneratedGames(count=2))
    made = gymnasium.make("agentq/ALFWorld-v0", library=library).unwrapped
    assert isinstance(made, AlfworldEnv)
    assert {made.reset(seed=seed)[1]["task"] for seed in range(9)} == {library.task_at(0), library.task_at(1)}


def test_a_single_game_file_is_a_collection_too(tmp_path: Path, small: dict[str, GameFile]) -> None:
    env = AlfworldEnv(write_game(small["look"], tmp_path))
    assert env.reset(seed=3)[1]["task"] == small["look"].task_id
    assert env.reset(options={"task": small["look"].task_id})[1]["task_type"] == "look_at_obj_in_light"


def test_provenance_is_json(env: AlfworldEnv) -> None:
    assert json.loads(json.dumps(env.provenance()))["games"] == "generated v1 seed 0"


WORKER = """
import json, sys
from agentq_envs.alfworld import AlfworldEnv
env = AlfworldEnv()
seen = []
for index in json.loads(sys.argv[1]):
    seen.append(env.reset(options={"index": index})[0])
    seen += [env.step(action)[0] for action in env.expert_plan()]
print(json.dumps(seen))
"""


def test_other_processes_play_the_same_games() -> None:
    def run(hash_seed: str, indices: list[int]) -> Any:
        words = [sys.executable, "-c", WORKER, json.dumps(indices)]
        path = ":".join(sys.path)
        environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": path}
        return json.loads(subprocess.run(words, capture_output=True, check=True, env=environment).stdout)

    alone = run("2", [4])
    assert run("1", [3, 4])[-len(alone) :] == alone
