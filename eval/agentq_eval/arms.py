"""The arms of a value-guided evaluation: same policy, same tasks and seeds, different ways to choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentq.agent import Agent
from agentq.critics.base import Critic
from agentq.policies.base import Policy
from agentq.selectors.best_of_n import BestOfN
from agentq.selectors.registry import load_selector
from agentq_eval.episodes import ARMS, ORACLE, TREE_SEARCH
from agentq_eval.running.deciders import AgentDecider, Decider, OracleDecider
from agentq_eval.running.planning import search_decider
from agentq_eval.suites.suite import ArmSpec


@dataclass(frozen=True, slots=True)
class ArmSettings:
    """Which arms to compare."""

    candidates: Sequence[int] = (8,)  # every N of the curve
    softmax_temperature: float = 0.1  # in units of the values' spread within a state
    names: Sequence[str] = ARMS


def value_arms(settings: ArmSettings | None = None) -> tuple[ArmSpec, ...]:
    """One sample, greedy, majority, best-of-N by Q, ROVER softmax by Q, and the exact-lookahead oracle.

    Arms that need candidates have every N above 1; with one candidate they all equal one sample.
    """
    settings = settings or ArmSettings()
    sizes = tuple(n for n in settings.candidates if n > 1)
    softmax = {"temperature": settings.softmax_temperature, "scale": "std"}
    arms = [ArmSpec("sampled", n=(1,)), ArmSpec("greedy", n=(1,), temperature=0.0)]
    if sizes:
        arms += [
            ArmSpec("majority", "majority", n=sizes),
            ArmSpec("best_of_n", "best_of_n", n=sizes, critic=True),
            ArmSpec("softmax", "softmax", softmax, n=sizes, critic=True),
            ArmSpec("oracle", ORACLE, n=sizes),
        ]
    return tuple(arm for arm in arms if arm.name in settings.names)


def value_deciders(
    arms: Sequence[ArmSpec], policy: Policy, greedy: Policy, critic: Critic
) -> Mapping[str, Decider]:
    """The arms with live parts, by arm key; ``greedy`` is the same model at temperature 0."""
    deciders: dict[str, Decider] = {}
    for arm in arms:
        proposer = greedy if arm.temperature == 0 else policy
        for n in arm.n:
            if arm.selector == ORACLE:
                deciders[f"{arm.name}@{n}"] = OracleDecider(proposer, BestOfN(), n)
                continue
            if arm.selector == TREE_SEARCH:
                found = search_decider(proposer, critic if arm.critic else None, n, arm.options)
                deciders[f"{arm.name}@{n}"] = found
                continue
            selector = load_selector(arm.selector, **arm.options)
            agent = Agent(proposer, selector, critic if arm.critic else None, n, on_invalid="execute")
            deciders[f"{arm.name}@{n}"] = AgentDecider(agent)
    return deciders
