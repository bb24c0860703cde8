from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from agentq.errors import CandidateError
from agentq.policies.base import Policy
from agentq.policies.scripted import ScriptedPolicy
from agentq.types import Messages

STATE = [{"role": "user", "content": "page"}]
ACTIONS = ["click[a]", "click[b]", "click[c]"]


def _random_choice(messages: Messages, actions: Sequence[str] | None, rng: np.random.Generator) -> str:
    return str(rng.choice(list(actions))) if actions else "free"


def test_samples_depend_on_the_seed_alone() -> None:
    policy = ScriptedPolicy(_random_choice)
    assert isinstance(policy, Policy)
    together = policy.propose([STATE, STATE], 8, [3, 4], [ACTIONS, ACTIONS])
    alone = [policy.propose([STATE], 8, [seed], [ACTIONS])[0] for seed in (3, 4)]
    assert together == alone
    assert all(sum(c.count for c in candidates) == 8 for candidates in together)
    fewer = policy.propose([STATE], 1, [3], [ACTIONS])[0]
    assert fewer[0].action == together[0][0].action


def test_text_that_does_not_parse_is_kept_and_marked() -> None:
    policy = ScriptedPolicy(lambda messages, actions, rng: "", parser=None)
    (candidates,) = policy.propose([STATE], 3, [0])
    assert [(c.valid, c.count) for c in candidates] == [(False, 3)]


@pytest.mark.parametrize(
    ("n", "seeds", "admissible", "message"),
    [
        (0, [1], None, "n=0"),
        (1, [1, 2], None, "2 seeds for 1 states"),
        (1, [-1], None, "seed -1"),
        (1, [1], [[]], "admissible actions is empty"),
        (1, [1], [["a"], ["b"]], "2 lists"),
    ],
)
def test_impossible_requests_are_refused(
    n: int, seeds: list[int], admissible: list[list[str]] | None, message: str
) -> None:
    with pytest.raises(CandidateError, match=message):
        ScriptedPolicy(_random_choice).propose([STATE], n, seeds, admissible)


def test_an_empty_batch_has_no_proposals() -> None:
    assert ScriptedPolicy(_random_choice).propose([], 2, []) == []
