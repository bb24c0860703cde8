"""Every selector by name through agent, log, replay and rescoring; checks and support included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentq.agent import Agent
from agentq.chooser import OnInvalid
from agentq.critics.base import Scores
from agentq.policies.scripted import ScriptedPolicy
from agentq.selectors import load_selector, selector_names
from agentq.trajectories import TrajectoryReader
from agentq.types import Candidate, Messages, Trajectory
from agentq.verification import Admissible, Check
from agentq_eval.offline.replay import replay
from agentq_eval.offline.rescore import RescoreSettings, rescore
from agentq_eval.rollouts import Episode, run_episodes
from agentq_eval.running.deciders import AgentDecider
from tests.agentq_eval.offline.chain_logs import Chain, Table, write_log
from tests.agentq_eval.offline.test_rescore import command

SELECTORS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in selector_names()),
    ("best_of_n", {"bound": "min", "ties": "random"}),
    ("reference", {"prior": "logprob", "scale": "std", "eta": 2.0}),
    ("pessimistic", {"threshold": 0.5, "far": "penalise"}),
    ("fallback", {"baseline": "majority", "margin": 0.05}),
]


class Doubtful(Table):
    """Its heads disagree most about going up, which is also the farthest from its log."""

    def __init__(self) -> None:
        super().__init__()
        self.values["fly"] = 0.0

    def score_heads(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[Scores]:
        found: list[Scores] = []
        for scores, (_, candidates) in zip(super().score_heads(batch), batch, strict=True):
            doubt = np.array([{"up": 0.25, "stay": 0.01}.get(c.action or "", 0.0) for c in candidates])
            support = np.where(np.isfinite(scores.q), 8 * doubt, np.inf)
            found.append(Scores(scores.q, np.stack([scores.q - doubt, scores.q + doubt]), (), support))
        return found


def _reply(messages: Messages, admissible: Sequence[str] | None, rng: np.random.Generator) -> str:
    return str(rng.choice(["up", "stay", "down", "fly", "mumble"]))


POLICY = ScriptedPolicy(_reply, lambda text: text if text != "mumble" else None)


class Priced:
    """The policy with a log-probability on every candidate."""

    def propose(self, batch: Any, n: int, seeds: Sequence[int], admissible: Any = None) -> list[Any]:
        found = POLICY.propose(batch, n, seeds, admissible)
        return [
            [Candidate(c.text, c.action, c.error, (1,), (-float(len(c.text)),), c.count) for c in some]
            for some in found
        ]


def played(
    name: str,
    options: dict[str, Any],
    checks: tuple[Check, ...] = (Admissible(),),
    on_invalid: OnInvalid = "execute",
    n: int = 4,
) -> list[Trajectory]:
    selector = load_selector(name, **options)
    agent = Agent(Priced(), selector, Doubtful(), n, on_invalid, checks)
    return list(run_episodes(Chain, [Episode(str(task), 0) for task in range(12)], AgentDecider(agent)))


@pytest.mark.parametrize(("name", "options"), SELECTORS, ids=str)
def test_every_selector_replays_from_its_log_alone(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    report = replay(write_log(tmp_path, played(name, options)))
    assert report.identical, str(report)
    assert report.selectors[name] > 20


@pytest.mark.parametrize(("name", "options"), SELECTORS, ids=str)
def test_every_selector_chooses_again_from_logged_heads_and_support(
    tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    log = write_log(tmp_path / "log", played("sample", {}))
    rescore(log, None, RescoreSettings("logged", name, options), tmp_path / "new")
    assert replay(tmp_path / "new").identical
    selector = load_selector(name, **options)
    for episode in TrajectoryReader(tmp_path / "new"):
        for step in episode.trajectory.steps:
            decision = step.decision
            if decision.selector != "invalid":
                expected = selector.select(Scores.of(decision), decision.candidates, np.random.default_rng(0))
                assert decision.probabilities.tobytes() == expected.probabilities.tobytes()


def test_logged_values_are_rescored_without_a_critic(tmp_path: Path, capsys: Any) -> None:
    log = write_log(tmp_path, played("best_of_n", {}))
    assert command(str(log), "--critic", "logged", "--selector", "best_of_n:bound=min") == 0
    assert "best_of_n" in capsys.readouterr().out
    careful = rescore(log, None, RescoreSettings("logged", "best_of_n", {"bound": "min"}))
    same = rescore(log, None, RescoreSettings("logged", "best_of_n"))
    assert same.all.same.value == 1
    assert careful.all.same.value is not None
    assert careful.all.same.value < 0.7  # going up is best on average and worst at worst


@pytest.mark.parametrize("mode", ["execute", "first"])
def test_refused_candidates_are_in_the_log_with_their_reason(tmp_path: Path, mode: OnInvalid) -> None:
    log = write_log(tmp_path, played("best_of_n", {}, on_invalid=mode, n=1))
    report = replay(log)
    assert report.identical, str(report)
    steps = [step for episode in TrajectoryReader(log) for step in episode.trajectory.steps]
    flying = [step for step in steps if step.decision.candidates[0].text == "fly"]
    assert flying
    for step in flying:
        assert step.decision.flags == ("all_refused",)
        assert step.decision.action == "fly"
        (candidate,) = step.decision.candidates
        refused = "admissible: 'fly' is not among the 3 admissible actions"
        assert (candidate.error or "").startswith(refused if mode == "execute" else "")
        assert (candidate.action is None) == (mode == "execute")
        assert step.decision.selector == ("invalid" if mode == "execute" else "best_of_n")


def test_a_flag_that_was_taken_out_is_noticed(tmp_path: Path) -> None:
    honest = played("pessimistic", {"threshold": 0.0})
    flagged = sum(bool(step.decision.flags) for t in honest for step in t.steps)
    assert flagged > 0
    silent = [
        replace(t, steps=tuple(replace(s, decision=replace(s.decision, flags=())) for s in t.steps))
        for t in honest
    ]
    assert replay(write_log(tmp_path / "honest", honest)).identical
    report = replay(write_log(tmp_path / "silent", silent))
    unsupported = [m for m in report.mismatches if m.recomputed == ["unsupported"]]
    assert report.different == len(unsupported) > 0
    assert {m.part for m in report.mismatches} == {"flags"}
