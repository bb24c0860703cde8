from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
import warnings
from typing import Any

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import agentq_envs
from agentq.errors import ActionError, ConfigError, TaskError
from agentq_envs.webshop import WebShopEnv, WebShopServer
from agentq_envs.webshop.loading import ShopFiles, shared_server
from agentq_envs.webshop.prompt import compact_prompt

BUY = ("search[plain mug number 3]", "click[b000000003]", "click[buy now]")
ANYTHING = st.one_of(
    st.text(),
    st.text().map(lambda text: f"search[{text}]"),
    st.text().map(lambda text: f"click[{text}]"),
    st.sampled_from(
        ["search[<r>]", "search[<a> x]", "search[<c>]", "search[<q>]", "", "[", "click[[]]", "\ud800"]
    ),
)


@pytest.fixture
def env(options: dict[str, Any]) -> WebShopEnv:
    return WebShopEnv(**options)


def play(env: Any, actions: list[str], **reset: Any) -> list[Any]:
    """Everything an agent could see of an episode."""
    seen: list[Any] = [env.reset(**reset)]
    seen += [env.step(action) for action in actions]
    return seen


def test_gymnasium_makes_and_checks_it(options: dict[str, Any]) -> None:
    env = gymnasium.make("agentq/WebShop-v0", **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
    assert env.observation_space.contains(env.reset(seed=0)[0])


def test_the_entry_point_registers_it() -> None:
    agentq_envs.register_environments()
    assert "agentq/WebShop-v0" in gymnasium.registry


def test_gymnasium_vectors_it(options: dict[str, Any]) -> None:
    many = gymnasium.make_vec("agentq/WebShop-v0", num_envs=2, vectorization_mode="sync", **options)
    observations, _ = many.reset(seed=3)
    alone = [WebShopEnv(**options).reset(seed=seed)[0] for seed in (3, 4)]
    assert list(observations) == alone


def test_a_purchase_terminates_with_the_reward_in_parts(env: WebShopEnv) -> None:
    env.reset(seed=0)
    *_, (_, reward, terminated, truncated, info) = play(env, list(BUY), seed=0)
    assert (terminated, truncated) == (True, False)
    assert info["reward"]["total"] == reward
    assert info["reward"]["tagger"] == info["tagger"] == "rules-1"
    assert {"r_type", "r_att", "r_price", "success"} <= set(info["reward"])
    assert info["page"] == "done"
    assert env.step("search[mug]")[1:4] == (0.0, True, False)  # the episode is over


def test_the_step_limit_truncates_without_score(options: dict[str, Any]) -> None:
    env = WebShopEnv(**options, max_steps=3)
    steps = play(env, ["nonsense", "search[mug]", "click[next >]", "click[next >]"], seed=0)[1:]
    assert [step[1:4] for step in steps] == [
        (0.0, False, False),
        (0.0, False, False),
        (0.0, False, True),
        (0.0, False, True),
    ]
    assert steps[2][4]["success"] is False


def test_a_purchase_with_the_last_step_is_no_truncation(options: dict[str, Any]) -> None:
    last = play(WebShopEnv(**options, max_steps=3), list(BUY), seed=0)[-1]
    assert last[2:4] == (True, False)


def test_a_task_is_what_its_id_says(env: WebShopEnv) -> None:
    tasks = env.server.task_ids
    for index, task in enumerate(tasks):
        _, info = env.reset(seed=9, options={"task": task})
        assert info["task"] == task
        assert env.goal == env.server.goals[index]
    assert env.reset(options={"goal_index": 2})[1]["task"] == tasks[2]


def test_a_seed_alone_draws_the_task(env: WebShopEnv) -> None:
    first = [env.reset(seed=seed)[1]["task"] for seed in range(20)]
    assert first == [env.reset(seed=seed)[1]["task"] for seed in range(20)]
    assert len(set(first)) > 1
    env.reset(seed=1)
    unseeded = [env.reset()[1]["task"] for _ in range(5)]
    env.reset(seed=1)
    assert unseeded == [env.reset()[1]["task"] for _ in range(5)]


@pytest.mark.parametrize(
    "task", ["webshop:B000000001:00000000", "webshop:B000000009:00000000", "", "x" * 10_000, 5]
)
def test_unknown_tasks_are_refused_with_near_ids(env: WebShopEnv, task: Any) -> None:
    with pytest.raises(TaskError, match="unknown task") as error:
        env.reset(options={"task": task})
    assert "this server has 5 tasks" in str(error.value)
    if str(task).startswith("webshop:B"):
        assert "the nearest are webshop:B00000000" in str(error.value)


def test_a_goal_index_out_of_range_is_refused(env: WebShopEnv) -> None:
    with pytest.raises(TaskError, match="goal_index 99 is out of range"):
        env.reset(options={"goal_index": 99})


@pytest.mark.parametrize("action", [None, 3, b"search[x]", ["search[x]"]])
def test_actions_that_are_no_text_are_refused(env: WebShopEnv, action: Any) -> None:
    env.reset(seed=0)
    with pytest.raises(ActionError, match="expected a text"):
        env.step(action)


def test_stepping_before_reset_is_refused(env: WebShopEnv) -> None:
    with pytest.raises(ActionError, match="call reset"):
        env.step("search[x]")


@pytest.mark.parametrize(
    "action", ["", "x" * 100_000, f"search[{'mug ' * 25_000}]", f"click[{'é' * 100_000}]", "[" * 100_000]
)
def test_empty_and_huge_actions_are_taken(env: WebShopEnv, action: str) -> None:
    before, _ = env.reset(seed=0)
    after, reward, terminated, truncated, info = env.step(action)
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert (after == before) == (not action.startswith("search["))
    assert info["legal"] == action.startswith("search[")


@given(actions=st.lists(ANYTHING, max_size=6))
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_ever_raises_and_illegal_ones_change_nothing(env: WebShopEnv, actions: list[str]) -> None:
    for mode in ("text", "text_rich"):
        env.mode = mode
        observation, _ = env.reset(seed=0)
        for action in actions:
            before = env.session.copy()
            after, reward, _, _, info = env.step(action)
            if not info["legal"]:
                assert (after, reward, env.session) == (observation, 0.0, before)
            observation = after


@given(seed=st.integers(0, 5), cut=st.integers(0, 6))
@settings(deadline=None, max_examples=40)
def test_a_restored_episode_goes_on_identically(options: dict[str, Any], seed: int, cut: int) -> None:
    env = WebShopEnv(**options, observation_mode="text_rich", num_prev_obs=2, num_prev_actions=1, max_steps=8)
    env.reset(seed=seed)
    rng = random.Random(seed)

    def walk(steps: int) -> list[Any]:
        seen: list[Any] = []
        for _ in range(steps):
            actions = env.server.admissible(env.session)
            action = rng.choice(["search[<r>]", "search[mug]", *actions])
            seen.append((action, *env.step(action)))
        return seen

    walk(cut)
    stored = pickle.dumps(env.snapshot())
    state = rng.getstate()
    first = walk(8)
    rng.setstate(state)
    other = WebShopEnv(
        **options, observation_mode="text_rich", num_prev_obs=2, num_prev_actions=1, max_steps=8
    )
    env = other  # walk() acts on the fresh environment
    env.restore(pickle.loads(stored))
    assert walk(8) == first
    assert len(stored) < 20_000


def test_changing_the_episode_leaves_a_snapshot_alone(env: WebShopEnv) -> None:
    play(env, ["search[ceramic]", "click[b000000001]", "click[12 oz]"], seed=0)
    snapshot = env.snapshot()
    shown, _ = env.restore(snapshot)
    env.step("click[16 oz]")
    assert snapshot.session.options == {"size": "12 oz"}
    assert env.restore(snapshot)[0] == shown


def test_a_snapshot_of_other_tasks_is_refused(env: WebShopEnv, options: dict[str, Any]) -> None:
    env.reset(seed=0)
    snapshot = env.snapshot()
    with pytest.raises(TaskError, match="unknown task"):
        WebShopEnv(**options, human_goals=True).restore(snapshot)


def test_previous_observations_and_actions_are_repeated(options: dict[str, Any]) -> None:
    plain = play(WebShopEnv(**options), ["search[mug]", "click[next >]"], seed=0)
    start, second, third = (step[0] for step in plain)
    env = WebShopEnv(**options, num_prev_obs=1, num_prev_actions=2)
    shown = [step[0] for step in play(env, ["search[mug]", "click[next >]"], seed=0)]
    assert shown[1] == f"{start} [SEP] search[mug] [SEP] {second}"
    assert shown[2] == f"search[mug] [SEP] {second} [SEP] click[next >] [SEP] {third}"


def test_the_goal_is_in_info_only_on_request(options: dict[str, Any]) -> None:
    assert "goal" not in WebShopEnv(**options).reset(seed=0)[1]
    env = WebShopEnv(**options, reveal_goal=True)
    assert env.reset(seed=0)[1]["goal"] == env.goal


def test_a_prompt_renderer_fills_messages(options: dict[str, Any]) -> None:
    env = WebShopEnv(**options, prompt=lambda env: [{"role": "user", "content": env.session.page}])
    play(env, ["search[mug]"], seed=0)
    assert env.step("click[next >]")[4]["messages"] == ({"role": "user", "content": "results"},)


def test_environments_share_one_server(options: dict[str, Any], files: ShopFiles) -> None:
    one, other = WebShopEnv(**options), gymnasium.make("agentq/WebShop-v0", **options).unwrapped
    assert isinstance(other, WebShopEnv)
    assert one.server is other.server
    assert one.server is not WebShopEnv(**options, goal_seed=1).server
    server: WebShopServer = shared_server(files, noun_tagger="rules")
    made = gymnasium.make("agentq/WebShop-v0", server=server)
    assert made.spec is not None  # a deep copy of the arguments
    assert made.unwrapped.server is server  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"observation_mode": "html"}, "observation_mode 'html' is unknown"),
        ({"max_steps": 0}, "max_steps is 0"),
        ({"noun_tagger": "nltk"}, "unknown noun tagger"),
        ({"attributes": None}, "products and attributes belong together"),
    ],
)
def test_impossible_settings_are_refused(
    options: dict[str, Any], wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        WebShopEnv(**{**options, **wrong})


@pytest.mark.parametrize("seed", [-1, "3", 1.5])
def test_impossible_seeds_are_refused(env: WebShopEnv, seed: Any) -> None:
    with pytest.raises(ConfigError, match="expected an int of at least 0"):
        env.reset(seed=seed)


def test_generators_follow_the_seed(env: WebShopEnv) -> None:
    env.reset(seed=3)
    drawn = env.np_random.integers(1000, size=3).tolist()
    env.reset(seed=3)
    assert env.np_random.integers(1000, size=3).tolist() == drawn
    assert env.np_random_seed == 3


WORKER = """
import json, sys
from agentq_envs.webshop import WebShopEnv
files, tasks = json.loads(sys.argv[1])
env = WebShopEnv(**files, noun_tagger="rules")
for task in tasks:
    seen = [env.reset(seed=5, options={"task": task})]
    seen += [env.step(a) for a in ("search[<r>]", "click[next >]", "search[ceramic]")]
    seen += [env.step(a) for a in ("click[b000000001]", "click[buy now]")]
    print(json.dumps(seen))
"""


def test_workers_in_any_order_see_the_same(options: dict[str, Any], env: WebShopEnv) -> None:
    tasks = env.server.task_ids
    paths = {name: str(options[name]) for name in ("products", "attributes", "human")}
    seen: dict[str, str] = {}
    for salt, part in (("1", tasks), ("2", tasks[::-1][:2])):
        run = subprocess.run(
            [sys.executable, "-c", WORKER, json.dumps([paths, part])],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": salt, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for task, line in zip(part, run.stdout.splitlines(), strict=True):
            assert seen.setdefault(task, line) == line
    assert len(seen) == len(set(tasks))


def test_messages_are_the_compact_prompt_unless_another_is_given(env: WebShopEnv) -> None:
    _, info = env.reset(seed=0)
    assert info["messages"] == compact_prompt(env)
    assert env.goal.instruction_text in info["messages"][0]["content"]
    *_, info = env.step("search[mug]")
    assert info["messages"] == compact_prompt(env)
    assert "Done: search[mug]" in info["messages"][0]["content"]


def test_a_restored_state_has_the_same_messages_actions_and_steps(options: dict[str, Any]) -> None:
    env, other = WebShopEnv(**options, max_steps=6), WebShopEnv(**options, max_steps=6)
    env.reset(seed=2)
    snapshots: list[tuple[Any, ...]] = []
    for action in ("search[ceramic]", "nonsense", "click[b000000001]", "click[12 oz]", "click[features]"):
        *_, info = env.step(action)
        looked = env.lookahead(["click[< prev]", "search[mug]"])
        snapshots.append((env.snapshot(), info["messages"], env.actions, env.steps_left, looked))
    other.reset(seed=9)
    for snapshot, messages, actions, left, looked in reversed(snapshots):
        stored = pickle.loads(pickle.dumps(snapshot))
        _, info = other.restore(stored)
        assert info["messages"] == messages
        assert (other.actions, other.steps, other.steps_left) == (actions, len(actions), left)
        assert other.lookahead(["click[< prev]", "search[mug]"]) == looked
        assert other.snapshot() == snapshot


def test_steps_left_count_down_to_the_truncation(options: dict[str, Any]) -> None:
    env = WebShopEnv(**options, max_steps=3)
    env.reset(seed=0)
    left = [env.steps_left]
    truncated = False
    while not truncated:
        *_, truncated, _ = env.step("click[back to search]")
        left.append(env.steps_left)
    assert left == [3, 2, 1, 0]
    env.step("search[mug]")
    assert (env.steps, env.steps_left) == (3, 0)  # nothing is counted after the end
    env.reset(seed=0)
    assert (env.steps_left, env.actions) == (3, ())
    endless = WebShopEnv(**options, max_steps=None)
    endless.reset(seed=0)
    endless.step("search[mug]")
    assert endless.steps_left == 1000


def test_the_expert_remembers_the_searches_of_the_episode(env: WebShopEnv) -> None:
    env.reset(seed=0)
    first = env.expert_action()
    env.step(first)
    env.step("click[back to search]")
    assert env.expert_action() not in (first, "")
    assert env.expert_action().startswith("search[")
    env.reset(seed=0)
    assert env.expert_action() == first


def test_lookahead_and_expert_need_a_running_episode(env: WebShopEnv) -> None:
    with pytest.raises(ActionError, match="call reset"):
        env.lookahead(["search[mug]"])
    with pytest.raises(ActionError, match="call reset"):
        env.expert_action()
