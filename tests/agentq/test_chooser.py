"""Checks and invalid candidates on the way through a chooser and an agent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from agentq.agent import Agent
from agentq.chooser import Chooser, OnInvalid
from agentq.critics.base import Scores
from agentq.errors import SelectorError
from agentq.policies.scripted import ScriptedPolicy
from agentq.selectors.best_of_n import BestOfN
from agentq.selectors.pessimistic import Pessimistic
from agentq.selectors.registry import load_selector
from agentq.types import Candidate, FloatArray, Messages
from agentq.verification import Admissible, Situation

PAGE = ({"role": "user", "content": "a page"},)
ALLOWED = ("click[a]", "click[bb]")


class Longest:
    """Likes long actions, has two heads and finds all of them far away; keeps what it was asked about."""

    def __init__(self) -> None:
        self.seen: list[str | None] = []

    def score(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[FloatArray]:
        return [scores.q for scores in self.score_heads(batch)]

    def score_heads(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[Scores]:
        self.seen += [c.action for _, candidates in batch for c in candidates]
        rows = [np.array([float(len(c.action)) if c.action else -np.inf for c in cs]) for _, cs in batch]
        return [Scores(q, np.stack([q, q]), support=np.where(np.isfinite(q), 9.0, np.inf)) for q in rows]


@dataclass(frozen=True)
class Refuse:
    """Refuses everything."""

    name = "refuse"

    def reason(self, action: str, situation: Situation) -> str | None:
        return "no"


def made(*actions: str | None) -> list[Candidate]:
    return [Candidate(f"Action: {action}", action, None if action else "no action") for action in actions]


def test_the_critic_is_not_asked_about_refused_candidates() -> None:
    critic = Longest()
    chooser = Chooser(BestOfN(), critic, checks=(Admissible(),))
    (decision,) = chooser.choose([PAGE], [made("click[ccc]", "click[a]", "click[bb]")], [0], [ALLOWED])
    assert critic.seen == [None, "click[a]", "click[bb]"]
    assert decision.action == "click[bb]"
    assert decision.candidates[0].text == "Action: click[ccc]"
    assert (decision.candidates[0].error or "").startswith("admissible: 'click[ccc]' is not among the 2")
    assert np.isneginf(decision.q[0])
    assert decision.flags == ()
    (free,) = chooser.choose([PAGE], [made("click[ccc]", "click[a]")], [0])
    assert free.action == "click[ccc]"  # nothing is known about what is admissible


def test_an_agent_passes_admissible_actions_to_its_checks() -> None:
    policy = ScriptedPolicy(lambda messages, admissible, rng: str(rng.choice([*ALLOWED, "click[zzzzz]"])))
    agent = Agent(policy, BestOfN(), Longest(), 6, checks=(Admissible(),))
    decisions = [agent.act(PAGE, seed, ALLOWED) for seed in range(20)]
    assert {decision.action for decision in decisions} <= set(ALLOWED)
    assert any("zzzzz" in c.text and not c.valid for d in decisions for c in d.candidates)
    assert Agent(policy, BestOfN(), Longest(), 6).act(PAGE, 0, ALLOWED).action == "click[zzzzz]"


@pytest.mark.parametrize(
    ("mode", "selector", "action", "index"),
    [("execute", "invalid", "Action: None", 0), ("first", "best_of_n", "click[a]", 1)],
)
def test_where_all_are_refused(mode: OnInvalid, selector: str, action: str, index: int) -> None:
    chooser = Chooser(BestOfN(), Longest(), mode, (Refuse(),))
    (decision,) = chooser.choose([PAGE], [made(None, "click[a]", "click[bb]")], [0])
    assert (decision.selector, decision.action, decision.index) == (selector, action, index)
    assert decision.flags == ("all_refused",)
    assert [c.error for c in decision.candidates] == [
        "no action",
        "refuse: no" if mode == "execute" else None,
        "refuse: no",
    ]
    with pytest.raises(SelectorError, match="all 3 candidates are invalid"):
        Chooser(BestOfN(), Longest(), checks=(Refuse(),)).choose(
            [PAGE], [made(None, "click[a]", "click[bb]")], [0]
        )


@pytest.mark.parametrize("mode", ["execute", "first"])
def test_where_none_had_parsed_the_first_text_is_executed(mode: OnInvalid) -> None:
    (decision,) = Chooser(BestOfN(), None, mode, (Refuse(),)).choose([PAGE], [made(None, None)], [0])
    assert (decision.selector, decision.index, decision.flags) == ("invalid", 0, ())


def test_a_decision_holds_what_replays_it() -> None:
    (decision,) = Chooser(Pessimistic(2.0), Longest()).choose([PAGE], [made("a", "bb", None)], [0])
    assert decision.flags == ("unsupported",)
    assert decision.support is not None
    assert decision.support.tolist() == [9.0, 9.0, np.inf]
    assert decision.selector_options is not None
    selector = load_selector(decision.selector, **decision.selector_options)
    assert selector == Pessimistic(2.0)
    again = selector.select(Scores.of(decision), decision.candidates, np.random.default_rng(0))
    assert (again.index, again.flags) == (decision.index, decision.flags)
    assert again.probabilities.tobytes() == decision.probabilities.tobytes()
