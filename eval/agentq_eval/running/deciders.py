"""Who decides in an episode: an agent, or the oracle that bounds every critic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from agentq.agent import Agent
from agentq.critics.base import Scores
from agentq.policies.base import Policy
from agentq.selectors.base import Selector
from agentq.selectors.registry import options_of
from agentq.types import Decision, FloatArray, Message


@dataclass(frozen=True, slots=True)
class View:
    """What a decider may look at. An agent reads the messages; only an oracle touches ``env``.

    Who makes many calls of policy and critic for one decision calls ``alive`` between them: the limit of a step in
    seconds is one of each call.
    """

    env: Any
    messages: tuple[Message, ...]
    admissible: tuple[str, ...] | None
    seed: int
    alive: Callable[[], None] = field(default=lambda: None, compare=False)


class Decider(Protocol):
    """Chooses actions for a batch of episodes."""

    def decide(self, views: Sequence[View]) -> list[Decision]:
        """One decision per view."""
        ...


@dataclass(frozen=True)
class AgentDecider:
    """An agent behind the decider interface."""

    agent: Agent

    def decide(self, views: Sequence[View]) -> list[Decision]:
        """The agent's decisions, from messages and admissible actions alone."""
        return self.agent.act_batch(
            [view.messages for view in views],
            [view.seed for view in views],
            [view.admissible for view in views],
        )


@dataclass(frozen=True)
class OracleDecider:
    """Chooses the best of the same n candidates by the environment's exact lookahead.

    The environment offers ``lookahead(actions) -> values``: the discounted value of each action when
    play goes on optimally. This is the upper bound for any critic on these candidates.
    """

    policy: Policy
    selector: Selector
    n: int

    def decide(self, views: Sequence[View]) -> list[Decision]:
        """Decisions by exact values; the environments are left as they were."""
        proposals = self.policy.propose(
            [v.messages for v in views], self.n, [v.seed for v in views], [v.admissible for v in views]
        )
        decisions: list[Decision] = []
        for view, candidates in zip(views, proposals, strict=True):
            q: FloatArray = np.full(len(candidates), -np.inf)
            valid = [i for i, candidate in enumerate(candidates) if candidate.action is not None]
            q[valid] = view.env.unwrapped.lookahead([str(candidates[i].action) for i in valid])
            if not valid:  # as the agents: the raw text is executed and counts as a wasted step
                certain = np.eye(1, len(candidates))[0]
                decisions.append(Decision(tuple(candidates), q, certain, 0, selector="invalid"))
                continue
            selection = self.selector.select(Scores(q), candidates, np.random.default_rng([view.seed, 1]))
            decisions.append(
                Decision(
                    candidates=tuple(candidates),
                    q=q,
                    probabilities=selection.probabilities,
                    index=selection.index,
                    draw=selection.draw,
                    selector="oracle",
                    flags=selection.flags,
                    selector_options=options_of(self.selector),
                )
            )
        return decisions
