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


@pytest.mark.parametrize(
    ("options", "named"),
    [({"comparisons": 1.5}, "comparisons=1.5"), ({"further_from": -1}, "further_from=-1")],
)
def test_what_cannot_be_drawn_is_refused(options: dict[str, float], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Benchmark(**options)  # type: ignore[arg-type]
