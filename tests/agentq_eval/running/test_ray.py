"""The same suite on a local Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentq.errors import TaskError
from agentq_eval.running.run import RunSettings
from agentq_eval.runs.reader import RunReader
from agentq_eval.suites.suite import PanelSpec, Suite, Timeouts

ray: Any = pytest.importorskip("ray", reason='needs ray: pip install "agentq[ray]"')
Playing = Callable[..., RunReader]
RAY = RunSettings("ray", 2, slots=8, progress=False)


@pytest.fixture(autouse=True)
def _cluster(_importable: None) -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def test_ray_changes_no_result(
    suite: Suite, playing: Playing, content: Callable[[Path], dict[str, Any]], tmp_path: Path
) -> None:
    playing(suite, tmp_path / "thread")
    playing(suite, tmp_path / "ray", RAY)
    assert content(tmp_path / "ray") == content(tmp_path / "thread")


def test_faults_are_the_same_outcomes_on_ray(
    misbehaving: Callable[..., Suite], playing: Playing, tmp_path: Path
) -> None:
    hung = replace(misbehaving(environment="hang:t4"), timeouts=Timeouts(step=1.0))
    results = playing(hung, tmp_path / "hung", RAY).results()
    assert {r.task: r.outcome for r in results if r.outcome != "finished"} == {"t4": "timed_out"}
    died = playing(replace(misbehaving(agent="die:t4"), retries=0), tmp_path / "died", RAY).results()
    assert {r.task: r.outcome for r in died if r.outcome != "finished"} == {"t4": "infrastructure"}
    assert len(results) == len(died) == 12
    with pytest.raises(TaskError, match="ships no panels"):
        playing(replace(misbehaving(), panel=PanelSpec(name="nice")), tmp_path / "wrong", RAY)
