from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from agentq.types import Candidate, Decision
from agentq_eval.offline.agreement import AgreementTally, rank_agreement


def decision(
    q: list[float], index: int = 0, probabilities: list[float] | None = None, texts: str = "abcdefgh"
) -> Decision:
    candidates = tuple(Candidate(text, None if text == "-" else text) for text in texts[: len(q)])
    shares = np.eye(len(q))[index] if probabilities is None else np.array(probabilities)
    return Decision(candidates, np.array(q), shares, index)


@pytest.mark.parametrize("seed", range(30))
def test_the_rank_correlation_is_scipys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    before, after = rng.integers(0, 5, size=(2, 7)).astype(float)  # with ties
    expected, _ = stats.spearmanr(before, after)  # pyright: ignore[reportGeneralTypeIssues]
    assert rank_agreement(decision(before.tolist()), decision(after.tolist())) == pytest.approx(expected)


def test_the_rank_correlation_is_about_distinct_valid_actions() -> None:
    assert rank_agreement(decision([1, 2, -np.inf]), decision([5, 7, -np.inf])) == pytest.approx(1)
    assert rank_agreement(decision([1, 2]), decision([7, 5])) == pytest.approx(-1)
    once = rank_agreement(decision([1, 2, 2], texts="abb"), decision([5, 7, 7], texts="abb"))
    assert once == pytest.approx(1)
    assert np.isnan(rank_agreement(decision([1, -np.inf]), decision([2, -np.inf])))
    assert np.isnan(rank_agreement(decision([1, 1]), decision([1, 2])))


def test_shares_of_same_actions() -> None:
    tally = AgreementTally()
    for task in range(20):
        tally.add(str(task), decision([1, 0]), decision([1, 0], index=int(task < 5)))
        tally.add(str(task), decision([1]), decision([1]))  # nothing to choose
    found = tally.result()
    assert (found.decisions, found.open) == (40, 20)
    assert found.same.value == pytest.approx(0.75)
    assert found.same_all.value == pytest.approx(35 / 40)
    assert found.overlap.value == pytest.approx(0.75)
    assert found.same.low is not None
    assert found.same.high is not None
    assert 0.4 < found.same.low < 0.75 < found.same.high < 0.95


def test_two_texts_of_one_action_are_the_same_choice() -> None:
    tally = AgreementTally()
    tally.add("1", decision([1, 1, 0], 0, texts="aab"), decision([1, 1, 0], 1, texts="aab"))
    tally.add("2", decision([1, 1, 0], 0, texts="aab"), decision([1, 1, 0], 1, texts="aab"))
    found = tally.result()
    assert (found.same.value, found.overlap.value) == (1.0, 1.0)
    assert found.same.low is not None
    assert found.same.low < 1  # complete agreement in two tasks is no certainty


def test_the_overlap_is_what_draws_cannot_change() -> None:
    tally = AgreementTally()
    for task in ("1", "2"):
        tally.add(task, decision([1, 0], 0, [0.7, 0.3]), decision([1, 0], 1, [0.4, 0.6]))
    assert tally.result().overlap.value == pytest.approx(0.4 + 0.3)


def test_steps_of_a_task_are_not_independent() -> None:
    clustered, spread = AgreementTally(), AgreementTally()
    for i in range(200):
        pair = decision([1, 0]), decision([1, 0], index=int(i < 100))
        clustered.add(str(i // 20), *pair)
        spread.add(str(i), *pair)
    wide, narrow = clustered.result().same, spread.result().same
    assert wide.low is not None
    assert narrow.low is not None
    assert wide.low < narrow.low - 0.1


def test_nothing_to_choose_is_undefined() -> None:
    tally = AgreementTally()
    tally.add("1", decision([-np.inf], texts="-"), decision([-np.inf], texts="-"))
    found = tally.result()
    assert (found.decisions, found.open, found.ranked) == (1, 0, 0)
    assert (found.same.value, found.overlap.value, found.spearman.value) == (None, None, None)
    assert found.same_all.value == 1


def test_tallies_merge() -> None:
    one, two, both = AgreementTally(), AgreementTally(), AgreementTally()
    for i in range(10):
        pair = decision([1, 0]), decision([i - 5, 0], index=int(i < 3))
        (one if i % 2 else two).add(str(i), *pair)
    one.merge(two)
    for i in [*range(1, 10, 2), *range(0, 10, 2)]:
        both.add(str(i), decision([1, 0]), decision([i - 5, 0], index=int(i < 3)))
    assert one.result() == both.result()
