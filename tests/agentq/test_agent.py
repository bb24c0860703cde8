from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from agentq.agent import Agent, decision_seed
from agentq.critics.base import Scores
from agentq.errors import CandidateError, SelectorError
from agentq.policies.scripted import ScriptedPolicy
from agentq.selectors.best_of_n import BestOfN
from agentq.selectors.first import First
from agentq.selectors.softmax import Softmax
from agentq.types import Candidate, FloatArray, Message, Messages

PAGE: tuple[Message, ...] = ({"role": "user", "content": "a page"},)
ACTIONS = ("click[a]", "click[bb]", "click[ccc]")


class Longest:
    """Two heads that like long actions."""

    def score(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[FloatArray]:
        return [scores.q for scores in self.score_heads(batch)]

    def score_heads(self, batch: Sequence[tuple[Messages, Sequence[Candidate]]]) -> list[Scores]:
        rows = [[len(c.action) if c.action else -np.inf for c in candidates] for _, candidates in batch]
        return [Scores(np.array(row, float), np.array([row, row], float)) for row in rows]


def any_action(messages: Messages, admissible: Sequence[str] | None, rng: np.random.Generator) -> str:
    return str(rng.choice([*ACTIONS, "Thought: none"]))


def babble(messages: Messages, admissible: Sequence[str] | None, rng: np.random.Generator) -> str:
    return f"Thought: {rng.integers(1000)}"


def test_candidates_that_are_all_invalid_raise_by_default() -> None:
    for critic in (None, Longest()):
        with pytest.raises(SelectorError, match="all 4 candidates are invalid"):
            Agent(ScriptedPolicy(babble), BestOfN(), critic, 4).act(PAGE)


@pytest.mark.parametrize("selector", [BestOfN(), First(), Softmax()])
def test_or_the_first_ones_raw_text_is_executed(selector: BestOfN | First | Softmax) -> None:
    for critic in (None, Longest()):
        agent = Agent(ScriptedPolicy(babble), selector, critic, 4, on_invalid="execute")
        decision = agent.act(PAGE, seed=3)
        assert decision.action == decision.candidates[0].text
        assert decision.action.startswith("Thought: ")
        assert (decision.index, decision.selector, decision.draw) == (0, "invalid", None)
        assert decision.probabilities.tolist() == [1.0, 0.0, 0.0, 0.0]
        assert np.isneginf(decision.q).all()
        assert (decision.head_q is None) == (critic is None)


def test_one_valid_candidate_is_enough_for_the_selector() -> None:
    agents = [
        Agent(ScriptedPolicy(any_action), BestOfN(), Longest(), 2, mode) for mode in ("raise", "execute")
    ]
    mixed = 0
    for seed in range(40):
        texts = [c.valid for c in agents[1].policy.propose([PAGE], 2, [seed])[0]]
        if not any(texts):
            continue
        decisions = [agent.act(PAGE, seed) for agent in agents]
        assert decisions[0].action == decisions[1].action != "Thought: none"
        assert {one.selector for one in decisions} == {"best_of_n"}
        mixed += not all(texts)
    assert mixed > 0


def test_the_best_by_the_critic_is_chosen() -> None:
    for seed in range(20):
        decision = Agent(ScriptedPolicy(any_action), BestOfN(), Longest(), 6).act(PAGE, seed)
        assert decision.action == max((c.action for c in decision.candidates if c.action), key=len)
        assert decision.head_q is not None
        assert decision.head_q.shape == (2, len(decision.candidates))


def test_a_decision_depends_on_its_own_state_and_seed_alone() -> None:
    agent = Agent(ScriptedPolicy(any_action), Softmax(), Longest(), 3, "execute")
    seeds = [decision_seed("task", i, 0) for i in range(12)]
    together = agent.act_batch([PAGE] * 12, seeds)
    for seed, decision in zip(seeds, together, strict=True):
        alone = agent.act(PAGE, seed)
        assert (alone.candidates, alone.index, alone.draw) == (
            decision.candidates,
            decision.index,
            decision.draw,
        )
    assert len({decision.action for decision in together}) > 1


def test_a_policy_without_candidates_is_named() -> None:
    class Silent:
        def propose(
            self,
            batch: Sequence[Messages],
            n: int,
            seeds: Sequence[int],
            admissible: Sequence[Sequence[str] | None] | None = None,
        ) -> list[list[Candidate]]:
            return [[Candidate("a", "a")], []][: len(batch)]

    for mode in ("raise", "execute"):
        with pytest.raises(CandidateError, match="state 1: the policy returned no candidates out of n=8"):
            Agent(Silent(), First(), on_invalid=mode).act_batch([PAGE, PAGE], [0, 1])


def test_seeds_of_decisions_do_not_collide() -> None:
    seeds = {decision_seed(task, seed, step) for task in "ab" for seed in range(10) for step in range(20)}
    assert len(seeds) == 400
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert decision_seed("a", 1, 11) != decision_seed("a", 11, 1)
    assert decision_seed("a", 0, 0) == decision_seed("a", 0, 0)
