"""One more round when checks refuse everything: an agent's, and what its prompt says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from agentq.agent import Agent
from agentq.critics.base import Scores
from agentq.errors import SelectorError
from agentq.selectors.base import BaseSelector
from agentq.selectors.best_of_n import BestOfN
from agentq.selectors.registry import load_selector
from agentq.selectors.softmax import Softmax
from agentq.types import Candidate, FloatArray, Message, Messages
from agentq.verification import Admissible, Repeated, Situation, refusal_note, with_note

PAGE: Messages = ({"role": "system", "content": "s"}, {"role": "user", "content": "a page"})
ALLOWED = ("click[a]", "click[bb]")


class Learning:
    """Proposes nonsense until its prompt says that something was refused; keeps what it was asked."""

    def __init__(self, then: str = "click[bb]") -> None:
        self.then = then
        self.asked: list[tuple[list[Messages], int, list[int]]] = []

    def propose(
        self,
        batch: Sequence[Messages],
        n: int,
        seeds: Sequence[int],
        admissible: Sequence[Sequence[str] | None] | None = None,
    ) -> list[list[Candidate]]:
        self.asked.append((list(batch), n, list(seeds)))
        assert admissible is None or len(admissible) == len(batch)
        return [self._one(str(messages[-1]["content"])) for messages in batch]

    def _one(self, said: str) -> list[Candidate]:
        if said.startswith("fine"):
            return [Candidate("click[a]", "click[a]", count=3)]
        if "refused" in said:
            return [Candidate(self.then, self.then, count=2), Candidate("click[x]", "click[x]")]
        return [Candidate("click[x]", "click[x]", count=2), Candidate("hm", None, "mumbled")]


class Longest:
    """Likes long actions; keeps the states that it was shown."""

    def __init__(self) -> None:
        self.seen: list[Messages] = []

    def score(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[FloatArray]:
        return [scores.q for scores in self.score_heads(batch)]

    def score_heads(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[Scores]:
        self.seen += [messages for messages, _ in batch]
        return [
            Scores(np.array([float(len(c.action)) if c.action else -np.inf for c in cs])) for _, cs in batch
        ]


def test_the_policy_is_asked_once_more_with_the_reasons() -> None:
    policy, critic = Learning(), Longest()
    decision = Agent(policy, BestOfN(), critic, 3, checks=(Admissible(),), resample=True).act(
        PAGE, 5, ALLOWED
    )
    assert decision.action == "click[bb]"
    assert decision.flags == ("resampled",)
    assert [c.action for c in decision.candidates] == [None, None, "click[bb]"]
    assert [c.count for c in decision.candidates] == [3, 1, 2]  # both rounds: that is what was paid for
    assert (decision.candidates[0].error or "").startswith("admissible: 'click[x]' is not among the 2")
    (first, n, seeds), (second, again, others) = policy.asked
    assert first == [PAGE]
    assert n == again == 3
    assert seeds != others
    assert second[0][0] == PAGE[0]
    assert second[0][1]["content"] == (
        "a page\n\nWhat you proposed for this step was refused:\n"
        "- 'click[x]' is not among the 2 admissible actions; the nearest is 'click[a]'\nPropose another action."
    )
    assert critic.seen == [PAGE]  # the state is what it was


def test_it_ends_after_one_round_and_on_invalid_holds() -> None:
    policy = Learning(then="click[yy]")
    agent = Agent(policy, BestOfN(), None, 3, "first", (Admissible(),), resample=True)
    decision = agent.act(PAGE, 0, ALLOWED)
    assert len(policy.asked) == 2
    assert (decision.action, decision.flags) == ("click[x]", ("resampled", "all_refused"))
    assert [c.valid for c in decision.candidates] == [True, False, False]
    with pytest.raises(SelectorError, match="all 3 candidates are invalid"):
        Agent(Learning("click[yy]"), BestOfN(), None, 3, checks=(Admissible(),), resample=True).act(
            PAGE, 0, ALLOWED
        )


@pytest.mark.parametrize(("resample", "checks"), [(False, (Admissible(),)), (True, ())])
def test_it_is_not_asked_again_unless_that_is_wanted_and_something_refuses(
    resample: bool, checks: tuple[Admissible, ...]
) -> None:
    policy = Learning()
    Agent(policy, BestOfN(), None, 3, "first", checks, resample).act(PAGE, 0, ALLOWED)
    assert len(policy.asked) == 1


def test_only_the_states_without_a_way_out_are_asked_again() -> None:
    policy = Learning()
    fine: Messages = ({"role": "user", "content": "fine"},)
    agent = Agent(policy, Softmax(), Longest(), 3, checks=(Admissible(), Repeated()), resample=True)
    states = [fine, PAGE, fine, PAGE]
    together = agent.act_batch(states, [1, 2, 3, 4], [ALLOWED] * 4)
    assert [len(batch) for batch, _, _ in policy.asked] == [4, 2]
    assert [decision.flags for decision in together] == [(), ("resampled",)] * 2
    for messages, seed, decision in zip(states, (1, 2, 3, 4), together, strict=True):
        alone = agent.act(messages, seed, ALLOWED)
        assert (alone.candidates, alone.index, alone.draw) == (
            decision.candidates,
            decision.index,
            decision.draw,
        )


def test_a_resampled_decision_is_made_again_from_what_it_holds() -> None:
    decision = Agent(Learning(), Softmax(), Longest(), 3, checks=(Admissible(),), resample=True).act(
        PAGE, 5, ALLOWED
    )
    assert decision.selector_options is not None
    selector = load_selector(decision.selector, **decision.selector_options)
    assert isinstance(selector, BaseSelector)
    assert selector.replay(Scores.of(decision), decision.candidates, decision.draw) == decision.index


@pytest.mark.parametrize(
    ("messages", "left"),
    [
        ([{"role": "user", "content": "a"}], [{"role": "user", "content": "a\n\nno"}]),
        (
            [{"role": "user", "content": [{"type": "text", "text": "a"}]}],
            [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "no"}]}],
        ),
        (
            [{"role": "tool", "content": "a", "tool_call_id": "1"}],
            [{"role": "tool", "content": "a", "tool_call_id": "1"}, {"role": "user", "content": "no"}],
        ),
        ([], [{"role": "user", "content": "no"}]),
    ],
)
def test_where_a_note_stands(messages: list[Message], left: list[Message]) -> None:
    before = [dict(message) for message in messages]
    assert list(with_note(messages, "no")) == left
    assert messages == before


def test_a_note_is_no_longer_than_a_few_reasons() -> None:
    many = [Candidate(f"a{i}", f"a{i}") for i in range(40)]
    note = refusal_note(many, Situation(PAGE, ALLOWED), (Admissible(),))
    assert note is not None
    assert len(note.splitlines()) == 10
    assert refusal_note([*many, Candidate("", "click[a]")], Situation(PAGE, ALLOWED), (Admissible(),)) is None
    assert refusal_note([Candidate("", None, "mumbled")], Situation(PAGE, ALLOWED), (Admissible(),)) is None
