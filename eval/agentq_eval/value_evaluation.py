"""Play the arms of a value-guided evaluation with live models: what recipes do when a critic is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from agentq.critics.base import Critic
from agentq.errors import AgentQError
from agentq_envs.benchmark import TaskPanel
from agentq_eval.arms import value_deciders
from agentq_eval.reports import Report
from agentq_eval.running.run import RunSettings, run
from agentq_eval.suites.suite import PanelSpec, Suite

if TYPE_CHECKING:
    from agentq.policies.huggingface import HuggingFacePolicy


class MeteredCritic(Critic, Protocol):
    """A critic with an identity that counts the tokens it reads."""

    tokens: int

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything its values depend on."""
        ...


def play_value_arms(
    suite: Suite,
    folder: Path,
    *,
    policy: HuggingFacePolicy,
    greedy: HuggingFacePolicy,
    critic: MeteredCritic,
    make_env: Callable[[], Any],
    slots: int,
) -> Report:
    """Every arm on the suite's tasks and seeds; ``greedy`` is the policy at temperature 0. Goes on by itself."""
    backbone = policy.backbone
    hashes = {"policy_weights": backbone.fingerprint, "policy_template": backbone.template_fingerprint}

    def tokens() -> int:
        return policy.statistics.computed_tokens + greedy.statistics.computed_tokens + critic.tokens

    return run(
        suite,
        folder,
        deciders=value_deciders(suite.arms, policy, greedy, critic),
        make_env=make_env,
        fingerprints={
            f"{arm.name}@{n}": {**hashes, **({"critic": critic.fingerprint} if arm.critic else {})}
            for arm in suite.arms
            for n in arm.n
        },
        meter=tokens,
        settings=RunSettings(slots=slots),
    )


def panel_spec(panel: TaskPanel, first: int, env: Any) -> PanelSpec:
    """The first tasks of a panel: by name and hash where the environment ships it, else task by task."""
    try:
        shipped = env.unwrapped.panel(panel.name).hash == panel.hash
    except AgentQError:  # a panel that was made of a user's files
        shipped = False
    if shipped:
        return PanelSpec(panel.name, hash=panel.hash, first=min(first, len(panel.tasks)))
    return PanelSpec(tasks=panel.tasks[:first])
