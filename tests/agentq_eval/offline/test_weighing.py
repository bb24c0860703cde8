from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agentq.errors import EvaluationError
from agentq.types import Candidate, Decision, Trajectory
from agentq_eval.offline.off_policy import Bounds, off_policy
from agentq_eval.offline.rescore import RescoreSettings, rescore
from agentq_eval.offline.weighing import DecisionPair, weigh
from tests.agentq_eval.offline.chain_logs import Table, play, write_log

A, B, C = (Candidate(text, text) for text in ("a", "b", "c"))
AGAIN = Candidate("A please", "a")
MUMBLE = Candidate("mumble", None, "no action")


def decision(
    candidates: tuple[Candidate, ...],
    q: list[float],
    probabilities: list[float],
    index: int,
    selector: str = "",
) -> Decision:
    return Decision(candidates, np.array(q), np.array(probabilities), index, selector=selector)


def test_a_state_by_hand() -> None:
    logged = decision((A, B, C), [0, 0, 0], [0.5, 0.25, 0.25], 1)
    new = decision((A, B, C), [1.0, 2.0, 4.0], [0.1, 0.2, 0.7], 2)
    found = weigh("7", [DecisionPair(logged, new, 0.75)])
    assert found.task == "7"
    assert (found.behaviour[0], found.target[0], found.rewards[0]) == (0.25, 0.2, 0.75)
    assert found.q[0] == pytest.approx(2.0)
    assert found.values[0] == pytest.approx(0.1 + 0.4 + 2.8)
    assert found.uncovered[0] == 0


def test_candidates_with_one_action_are_one_action() -> None:
    logged = decision((A, B, AGAIN), [0, 0, 0], [0.5, 0.5, 0.0], 0)
    new = decision((A, B, AGAIN), [1.0, 2.0, 3.0], [0.0, 0.4, 0.6], 2)
    found = weigh("7", [DecisionPair(logged, new, 0.0)])
    assert (found.behaviour[0], found.uncovered[0]) == (0.5, 0.0)  # the logged selector took this action
    assert found.target[0] == pytest.approx(0.6)
    assert found.q[0] == pytest.approx(3.0)  # as the new selector weighs the two texts
    assert found.values[0] == pytest.approx(0.8 + 1.8)


def test_what_was_never_taken_is_uncovered() -> None:
    logged = decision((A, B, C), [1, 0, 0], [1.0, 0.0, 0.0], 0, "best_of_n")
    new = decision((A, B, C), [0, 1, 2], [0.2, 0.3, 0.5], 2)
    assert weigh("7", [DecisionPair(logged, new, 0.0)]).uncovered[0] == pytest.approx(0.8)


def test_values_of_what_does_not_parse_count_as_zero() -> None:
    both = decision((MUMBLE, A), [-np.inf, 2.0], [0.0, 1.0], 1)
    found = weigh("7", [DecisionPair(both, both, 0.0)])
    assert (found.q[0], found.values[0]) == (2.0, 2.0)
    none = decision((MUMBLE,), [-np.inf], [1.0], 0, "invalid")
    found = weigh("7", [DecisionPair(none, none, 0.0)])
    assert (found.behaviour[0], found.target[0], found.q[0], found.values[0]) == (1, 1, 0, 0)


def test_a_first_sample_is_a_draw_among_the_samples_where_one_says_so() -> None:
    three = (replace(A, count=3), MUMBLE, B)
    logged = decision(three, [0, -np.inf, 0], [1.0, 0.0, 0.0], 0, "first")
    new = decision(three, [1.0, -np.inf, 2.0], [0.0, 0.0, 1.0], 2, "best_of_n")
    strict = weigh("7", [DecisionPair(logged, new, 0.0)])
    assert (strict.behaviour[0], strict.uncovered[0]) == (1.0, 1.0)
    drawn = weigh("7", [DecisionPair(logged, new, 0.0)], exchangeable=True)
    assert (drawn.behaviour[0], drawn.target[0], drawn.uncovered[0]) == (0.75, 0.0, 0.0)
    same = weigh("7", [DecisionPair(logged, logged, 0.0)], exchangeable=True)
    assert same.target[0] == same.behaviour[0] == 0.75


def test_decisions_about_other_candidates_or_without_numbers_are_errors() -> None:
    logged = decision((A, B), [0, 0], [0.5, 0.5], 0)
    with pytest.raises(EvaluationError, match="step 0: the new decision is about other candidates"):
        weigh("7", [DecisionPair(logged, decision((A, C), [0, 0], [0.5, 0.5], 0), 0.0)])
    with pytest.raises(EvaluationError, match="a probability is not finite"):
        weigh("7", [DecisionPair(logged, replace(logged, probabilities=np.array([np.nan, 1])), 0.0)])


def score(trajectories: list[Trajectory]) -> tuple[float, float]:
    """Mean score and its standard error by task."""
    tasks = sorted({trajectory.task for trajectory in trajectories})
    means = [np.mean([t.score for t in trajectories if t.task == task]) for task in tasks]
    return float(np.mean(means)), float(np.std(means) / np.sqrt(len(means)))


@pytest.mark.parametrize("temperature", [0.15, 0.6])
def test_estimates_for_another_temperature_agree_with_really_running_it(
    tmp_path_factory: pytest.TempPathFactory, temperature: float
) -> None:
    """The chain pays `up` 0.8 and `stay` 0.5 on average; the critic's scale is its own."""
    critic = Table(0.3, 0.1, 0.0)
    log = write_log(
        tmp_path_factory.mktemp("log"), play("softmax", 150, seeds=2, critic=critic, temperature=0.25)
    )
    settings = RescoreSettings(
        selector="softmax", options={"temperature": temperature}, logged={"softmax": {"temperature": 0.25}}
    )
    found = rescore(log, critic, settings).arms[0].off_policy
    # Other seeds, so other candidates, draws and luck than those of the log.
    played = play("softmax", 150, seeds=5, critic=critic, temperature=temperature)
    truth, error = score([trajectory for trajectory in played if trajectory.seed >= 2])
    assert found.refused == ""
    assert found.logged.value is not None
    assert found.effective < 295
    for method, estimate in found.estimates.items():
        assert estimate.value is not None
        assert estimate.low is not None
        assert estimate.high is not None
        spread = (estimate.high - estimate.low) / 3.92
        assert abs(estimate.value - truth) < 3 * np.hypot(spread, error), method
    assert abs(found.logged.value - truth) > 3 * error  # the logged mean would not have done


def test_the_first_of_independent_samples_stands_for_a_draw(tmp_path_factory: pytest.TempPathFactory) -> None:
    critic = Table(0.3, 0.1, 0.0)
    log = write_log(tmp_path_factory.mktemp("log"), play("first", 200, n=2))
    settings = RescoreSettings(selector="best_of_n", exchangeable=True, bounds=Bounds(20))
    found = rescore(log, critic, settings).arms[0].off_policy
    truth, error = score(play("best_of_n", 200, n=2, critic=critic))
    played, _ = score(play("first", 200, n=2))
    assert truth - played > 4 * error
    assert found.refused == ""
    for method in ("wis", "pdwis", "wdr"):
        estimate = found.estimates[method]
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.low - 2 * error < truth < estimate.high + 2 * error
    strict = rescore(log, critic, replace(settings, exchangeable=False)).arms[0].off_policy
    assert strict.refused.startswith("no support")


def test_the_logged_selector_again_is_worth_what_it_scored() -> None:
    pairs = [
        [DecisionPair(step.decision, step.decision, step.reward) for step in trajectory.steps]
        for trajectory in play("softmax", 40, critic=Table(), temperature=0.2)
    ]
    report = off_policy([weigh(str(i), episode) for i, episode in enumerate(pairs)])
    assert report.effective == pytest.approx(40)
    assert report.estimates["wis"].value == pytest.approx(report.logged.value)
