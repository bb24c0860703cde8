"""The judge: grades out of texts, the critic contract, equal questions asked once."""

from __future__ import annotations

import numpy as np
import pytest

from agentq.critics.base import Critic
from agentq.critics.judge import UNGRADED, JudgeCritic, read_grade
from agentq.errors import ConfigError, CriticError
from agentq.policies.scripted import ScriptedPolicy
from agentq.types import Candidate

STATE = ({"role": "user", "content": "buy a mug"},)


def grader(messages, admissible, rng) -> str:
    text = str(messages[-1]["content"])
    return (
        "Grade: 9"
        if "search[mug]" in text
        else "no idea"
        if "click[?]" in text
        else "step 10 is bad. Grade: 2"
    )


@pytest.mark.parametrize(
    ("text", "last", "published"),
    [
        ("Grade: 7", 0.7, 0.7), ("10", 1.0, 1.0), ("step 10: grade 3", 0.3, 1.0), ("none", None, None),
        ("score 0.5", None, 0.5), ("12 ways, 4/10, so 4", 0.4, 1.0), ("grade: 100", None, 1.0),
    ],
)  # fmt: skip
def test_reading_a_grade(text: str, last: float | None, published: float | None) -> None:
    assert read_grade(text) == last
    assert read_grade(text, "published") == published


def test_values_are_grades() -> None:
    critic = JudgeCritic(ScriptedPolicy(grader))
    assert isinstance(critic, Critic)
    actions = [Candidate(t, t) for t in ("search[mug]", "click[back]", "click[?]")] + [
        Candidate("eh", None, "odd")
    ]
    (scores,) = critic.score_heads([(STATE, actions)])
    np.testing.assert_allclose(scores.q, [0.9, 0.2, UNGRADED, -np.inf])
    assert scores.reasons == (None, None, None, "odd")
    assert critic.ungraded == 1


def test_votes_are_averaged_without_the_ungraded() -> None:
    judge = ScriptedPolicy(lambda messages, admissible, rng: str(rng.choice(["Grade: 2", "Grade: 6", "?"])))
    critic = JudgeCritic(judge, votes=200)
    ((value,),) = critic.score([(STATE, [Candidate("a", "a")])])
    assert 0.3 < value < 0.5
    assert 40 < critic.ungraded < 90


def test_equal_questions_are_asked_once_and_batches_change_nothing() -> None:
    asked: list[int] = []

    class Counting(ScriptedPolicy):
        def propose(self, batch, n, seeds, admissible=None):
            asked.append(len(batch))
            return super().propose(batch, n, seeds, admissible)

    judge = Counting(lambda messages, admissible, rng: f"Grade: {rng.integers(1, 11)}")
    batch = [(STATE, [Candidate(t, t) for t in "aab"]), (STATE, [Candidate("a", "a")])]
    together = JudgeCritic(judge).score(batch)
    assert asked == [2]
    assert together[0][0] == together[0][1] == together[1][0]
    single = JudgeCritic(judge, batch=1).score(batch)
    for a, b in zip(together, single, strict=True):
        np.testing.assert_array_equal(a, b)


def test_refusals() -> None:
    with pytest.raises(ConfigError):
        JudgeCritic(ScriptedPolicy(grader), votes=0)
    critic = JudgeCritic(ScriptedPolicy(grader))
    with pytest.raises(CriticError, match="no candidates"):
        critic.score([(STATE, [])])
    with pytest.raises(CriticError, match="content"):
        critic.score([(({"role": "user", "content": [{"type": "image"}]},), [Candidate("a", "a")])])
    assert JudgeCritic(ScriptedPolicy(grader), votes=2).fingerprint != critic.fingerprint
