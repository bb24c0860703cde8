"""The arms of a value-guided evaluation: same policy, same tasks and seeds, different ways to choose."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agentq.agent import Agent
from agentq.critics.base import Critic
from agentq.policies.base import Policy
from agentq.selectors.base import Selector
from agentq.selectors.best_of_n import BestOfN
from agentq.selectors.first import First
from agentq.selectors.majority import MajorityVote
from agentq.selectors.softmax import Softmax
from agentq.types import Trajectory
from agentq_eval.episodes import EpisodeResult
from agentq_eval.rollouts import AgentDecider, Decider, Episode, Meter, OracleDecider, run_episodes


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

    def agent(selector: Selector, n: int, values: Critic | None = None, by: Policy = policy) -> Decider:
        return AgentDecider(Agent(by, selector, values, n, on_invalid="execute"))

    arms = [Arm("sampled", 1, agent(First(), 1)), Arm("greedy", 1, agent(First(), 1, by=greedy))]
    for n in settings.candidates:
        if n == 1:
            continue
        arms += [
            Arm("majority", n, agent(MajorityVote(), n)),
            Arm("best_of_n", n, agent(BestOfN(), n, critic)),
            Arm("softmax", n, agent(softmax, n, critic)),
            Arm("oracle", n, OracleDecider(policy, BestOfN(), n)),
        ]
    return arms


def run_arm(
    arm: Arm,
    make_env: Callable[[], Any],
    episodes: Iterable[Episode],
    batch_size: int = 64,
    meter: Meter | None = None,
) -> Iterator[EpisodeResult]:
    """Play all episodes of one arm; ``meter`` counts the tokens that went through models."""
    played = run_episodes(
        make_env, episodes, arm.decider, batch_size, meter=meter, metadata={"arm": arm.name, "n": arm.n}
    )
    for trajectory in played:
        yield episode_result(arm, trajectory)


def episode_result(arm: Arm, trajectory: Trajectory) -> EpisodeResult:
    """What a report keeps of an episode."""
    steps = trajectory.steps
    return EpisodeResult(
        arm=arm.name,
        n=arm.n,
        task=trajectory.task,
        seed=trajectory.seed,
        score=trajectory.score,
        success=trajectory.success,
        steps=len(steps),
        seconds=sum(step.timings.get("decide", 0.0) for step in steps),
        tokens=round(sum(step.timings.get("tokens", 0.0) for step in steps)),
        decisions=len(steps),
        outcome="finished" if steps[-1].terminated else "truncated",
    )
