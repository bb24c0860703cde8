from __future__ import annotations

import numpy as np
import pytest

from agentq.errors import CandidateError, ConfigError
from agentq.features.proposal import proposal_features, proposal_width, training_proposals
from agentq.types import Candidate


def sampled(action: str | None, *logprobs: float) -> Candidate:
    return Candidate(f"> {action}", action, token_logprobs=logprobs)


FOUND = [sampled("buy", -0.25, -0.25), sampled(None, -4.0), sampled("back", -1.5)]


def test_log_probability_of_each_action_whatever_else_was_proposed() -> None:
    features = proposal_features("likelihood", FOUND, ["back", "buy"])
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, [[-1.5, 1], [-0.5, 1]], rtol=1e-6)
    np.testing.assert_array_equal(proposal_features("likelihood", FOUND[2:], ["back"]), features[:1])
    assert proposal_features("none", FOUND, ["back", "buy"]).shape == (2, 0)
    assert [proposal_width(kind) for kind in ("none", "likelihood")] == [0, 2]


def test_several_texts_of_an_action_are_as_likely_as_the_likeliest() -> None:
    twice = [*FOUND, sampled("back", -1.0), sampled("back", -7.0)]
    np.testing.assert_array_equal(proposal_features("likelihood", twice, ["back"]), [[-1, 1]])


def test_an_executed_text_that_does_not_parse_has_a_likelihood() -> None:
    np.testing.assert_array_equal(proposal_features("likelihood", FOUND, ["> None"]), [[-4, 1]])


def test_long_free_text_does_not_set_the_scale() -> None:
    features = proposal_features("likelihood", [*FOUND, sampled("search", -200.0, -100.0)], ["search"])
    np.testing.assert_array_equal(features, [[-10, 1]])


def test_what_the_policy_kept_no_log_probability_of_is_unknown() -> None:
    bare = [Candidate("buy", "buy"), sampled("back", -1.5)]
    features = proposal_features("likelihood", bare, ["buy", "back", "fly"])
    np.testing.assert_array_equal(features, [[0, 0], [-1.5, 1], [0, 0]])


def test_one_step_in_ten_learns_to_do_without() -> None:
    known = [training_proposals("likelihood", FOUND, ["back", "buy"], step)[:, 1].all() for step in range(40)]
    assert sum(known) == 36
    assert not training_proposals("likelihood", FOUND, ["back", "buy"], 9).any()
    assert training_proposals("none", FOUND, ["back"], 9).shape == (1, 0)


def test_bad_log_probabilities_and_kinds_are_named() -> None:
    with pytest.raises(CandidateError, match=r"candidate 0 \('> buy'\) has log-probability nan"):
        proposal_features("likelihood", [sampled("buy", float("nan"))], ["buy"])
    with pytest.raises(ConfigError, match="proposal='counts'"):
        proposal_features("counts", FOUND, ["buy"])  # type: ignore[arg-type]
