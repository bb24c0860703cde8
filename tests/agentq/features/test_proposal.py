from __future__ import annotations

import math

import numpy as np
import pytest

from agentq.errors import CandidateError, ConfigError
from agentq.features.proposal import proposal_features, proposal_width
from agentq.types import Candidate


def sampled(action: str | None, count: int, *logprobs: float) -> Candidate:
    return Candidate(f"> {action}", action, count=count, token_logprobs=logprobs)


FOUND = [sampled("buy", 5, -0.25, -0.25), sampled(None, 1, -4.0), sampled("back", 2, -1.5)]


def test_share_likelihood_and_distance_to_the_likeliest() -> None:
    features = proposal_features("likelihood", FOUND, ["back", "buy"])
    assert features.dtype == np.float32
    np.testing.assert_allclose(
        features, [[math.log(2 / 8), -1.5, -1.0], [math.log(5 / 8), -0.5, 0.0]], rtol=1e-6
    )
    np.testing.assert_array_equal(proposal_features("counts", FOUND, ["back", "buy"]), features[:, :1])
    assert proposal_features("none", FOUND, ["back", "buy"]).shape == (2, 0)
    assert [proposal_width(kind) for kind in ("none", "counts", "likelihood")] == [0, 1, 3]


def test_the_same_action_twice_counts_together_and_as_likely_as_its_likeliest_text() -> None:
    twice = [*FOUND, sampled("back", 2, -1.0)]
    features = proposal_features("likelihood", twice, ["back"])
    np.testing.assert_allclose(features, [[math.log(4 / 10), -1.0, -0.5]], rtol=1e-6)


def test_an_executed_text_that_does_not_parse_has_a_proposal() -> None:
    features = proposal_features("likelihood", FOUND, ["> None"])
    np.testing.assert_allclose(features, [[math.log(1 / 8), -4.0, -3.5]], rtol=1e-6)


def test_long_free_text_does_not_set_the_scale() -> None:
    features = proposal_features("likelihood", [*FOUND, sampled("search", 1, -300.0)], ["search"])
    np.testing.assert_allclose(features[0, 1:], [-10.0, -9.5])


def test_missing_log_probabilities_and_strange_actions_are_named() -> None:
    bare = [Candidate("buy", "buy")]
    with pytest.raises(CandidateError, match=r"candidate 0 \('buy'\) has log-probability None.*counts"):
        proposal_features("likelihood", bare, ["buy"])
    assert proposal_features("counts", bare, ["buy"]).tolist() == [[0.0]]
    with pytest.raises(CandidateError, match="action 'fly' is none of the 3 candidates"):
        proposal_features("counts", FOUND, ["fly"])
    with pytest.raises(ConfigError, match="proposal='counted'"):
        proposal_features("counted", FOUND, ["buy"])  # type: ignore[arg-type]
