"""The arms of a value-guided evaluation: same policy, same tasks and seeds, different ways to choose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agentq.agent import Agent
from agentq.critics.base import Critic
from agentq.policies.base import Policy
from agentq.selectors.best_of_n import BestOfN
from agentq.selectors.majority import MajorityVote
from agentq.selectors.sample import OneSample
from agentq.selectors.softmax import Softmax
from agentq.types import Trajectory
from agentq_eval.rollouts import AgentDecider, Decider, Episode, OracleDecider, run_episodes


@dataclass(frozen=True, slots=True)
class Arm:
    """A named way to choose among n candidates."""

    name: str
    n: int
    decider: Decider


@dataclass(frozen=True, slots=True)
class ArmSettings:
    """Which arms to build."""

    candidates: Sequence[int] = (8,)  # every N of the curve
    softmax_temperature: float = 0.1  # in units of the values' spread within a state


def build_arms(
    policy: Policy, greedy: Policy, critic: Critic, settings: ArmSettings | None = None
) -> list[Arm]:
    """One sample, greedy, majority, best-of-N by Q, ROVER softmax by Q, and the exact-lookahead oracle.

    ``greedy`` is the same model at temperature 0. Arms that need candidates appear once for every N;
    with N = 1 they all equal one sample, so only N > 1 is built.
    """
    settings = settings or ArmSettings()
    softmax = Softmax(temperature=settings.softmax_temperature, scale="std")
    arms = [
        Arm("sampled", 1, AgentDecider(Agent(policy, OneSample(), n=1))),
        Arm("greedy", 1, AgentDecider(Agent(greedy, OneSample(), n=1))),
    ]
    for n in settings.candidates:
        if n == 1:
            continue
        arms += [
            Arm("majority", n, AgentDecider(Agent(policy, MajorityVote(), n=n))),
            Arm("best_of_n", n, AgentDecider(Agent(policy, BestOfN(), critic, n))),
            Arm("softmax", n, AgentDecider(Agent(policy, softmax, critic, n))),
            Arm("oracle", n, OracleDecider(policy, BestOfN(), n)),
        ]
    return arms


def run_arm(
    arm: Arm, make_env: Callable[[], Any], episodes: Iterable[Episode], batch_size: int = 64
) -> Iterator[Trajectory]:
    """Play all episodes of one arm."""
    yield from run_episodes(
        make_env, episodes, arm.decider, batch_size, metadata={"arm": arm.name, "n": arm.n}
    )
