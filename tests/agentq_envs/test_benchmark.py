"""What recipes need of an environment: one module for each, the same promises for all."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial

import gymnasium
import pytest

from agentq.errors import ConfigError, TaskError
from agentq_envs.benchmark import Benchmark, load_benchmark, spread
from agentq_envs.demonstrations import DemonstrationSettings
from agentq_envs.prompts import resolve_prompt
from agentq_envs.questions import VALUE_LEVELS
from agentq_envs.session_parts import Part, in_processes, parts_of

OPTIONS = {
    "webshop": {"further_shops": 0},
    "alfworld": {"careful": 0.7},
    "hotpotqa": {"further_worlds": 0},
}


@pytest.fixture(params=OPTIONS)
def benchmark(request: pytest.FixtureRequest) -> Benchmark:
    return load_benchmark(request.param, OPTIONS[request.param])


def test_sessions_are_of_training_tasks_and_repeatable(benchmark: Benchmark) -> None:
    settings = DemonstrationSettings(draws=2, alternatives=3)
    sessions = list(benchmark.sessions(4, 5, settings))
    assert sessions == list(benchmark.sessions(4, 5, settings))
    assert sessions != list(benchmark.sessions(4, 6, settings))
    assert {session.task for session in sessions} <= set(benchmark.panel("train").tasks)
    for step in sessions[0].steps:
        for tried in step.alternatives:
            digit, *others = benchmark.answers(sessions[0].task, tried, random.Random(0))
            assert abs(int(digit) / (VALUE_LEVELS - 1) - tried.value) <= 1 / (VALUE_LEVELS - 1)
            assert others


def test_splits_share_no_task_and_are_replayed_in_order(benchmark: Benchmark) -> None:
    panels = {split: set(benchmark.panel(split).tasks) for split in ("train", "validation", "test")}
    assert sum(map(len, panels.values())) == len(set.union(*panels.values()))
    tasks = benchmark.panel("validation").tasks[:3]
    assert [s.task for s in benchmark.replay(tasks, 0, DemonstrationSettings())] == list(tasks)


def test_its_environment_is_the_suites(benchmark: Benchmark) -> None:
    env = benchmark.make_env(3)
    assert env.max_steps == 3
    assert benchmark.make_env().max_steps == benchmark.max_steps
    named = gymnasium.make(benchmark.environment, **benchmark.options)
    assert type(named.unwrapped) is type(env)
    panel = benchmark.panel("test")
    assert named.unwrapped.panel(panel.name).hash == panel.hash  # type: ignore[attr-defined]


def test_a_step_limit_of_zero_is_not_taken_for_none(benchmark: Benchmark) -> None:
    with pytest.raises(ConfigError, match="max_steps"):
        benchmark.make_env(0)


def test_unknown_names_and_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="environment 'nowhere'"):
        load_benchmark("nowhere")
    with pytest.raises(ConfigError, match="no class 'Missing'"):
        load_benchmark("agentq_envs.benchmark:Missing")
    with pytest.raises(ConfigError, match="careless"):
        load_benchmark("alfworld", {"careless": 1})
    assert load_benchmark("agentq_envs.webshop.benchmark:Benchmark").title == "WebShop"


def test_every_question_of_a_further_made_world_may_be_learnt_from() -> None:
    usual, further = load_benchmark("hotpotqa"), load_benchmark("hotpotqa", {"world": 1})
    panel = further.panel("train")
    assert len(panel.tasks) == len(further.make_env().tasks.ids) > len(usual.panel("train").tasks)
    assert panel.hash != usual.panel("train").hash
    env, known = further.make_env(), usual.make_env()
    asked = {env.reset(options={"task": task})[0] for task in panel.tasks[:200]}
    assert not asked & {known.reset(options={"task": task})[0] for task in usual.panel("test").tasks}
    with pytest.raises(TaskError, match="world 1 has no panel 'test'"):
        further.panel("test")
    with pytest.raises(ConfigError, match="world=1 is a made world"):
        load_benchmark("hotpotqa", {"world": 1, "questions": "hotpot.json"})


def test_tasks_are_spread_evenly() -> None:
    drawn = Counter(spread(["a", "b", "c"], 8, 0))
    assert sorted(drawn.values()) == [2, 3, 3]
    assert spread(["a", "b", "c"], 8, 0) == spread(["a", "b", "c"], 8, 0) != spread(["a", "b", "c"], 8, 1)


def test_parts_cover_all_sessions_with_seeds_of_their_own() -> None:
    parts = [*parts_of(2500, 0), *parts_of(1200, 2, most_steps=1)]
    assert [part.count for part in parts] == [1000, 1000, 500, 1000, 200]
    assert len({part.seed for part in parts}) == 5
    assert parts[-1].most_steps == 1
    assert parts_of(0, 0) == []


def repeated(text: str, part: Part) -> list[str]:
    return [f"{text} {part.seed}"] * part.count


def test_processes_change_nothing() -> None:
    parts = [Part(2, 0), Part(1, 1), Part(3, 2)]
    work = partial(repeated, "x")
    assert list(in_processes(work, parts, 2)) == list(in_processes(work, parts, 1))
    assert list(in_processes(work, parts, 1)) == ["x 0"] * 2 + ["x 1"] + ["x 2"] * 3


def test_prompts_have_names() -> None:
    from agentq_envs.alfworld.prompt import chat_prompt, compact_prompt

    assert resolve_prompt(None, "agentq_envs.alfworld") is compact_prompt
    assert resolve_prompt("chat", "agentq_envs.alfworld") is chat_prompt
    assert resolve_prompt(chat_prompt, "agentq_envs.webshop") is chat_prompt
    with pytest.raises(ConfigError, match="expected one of chat, compact, react"):
        resolve_prompt("short", "agentq_envs.alfworld")
