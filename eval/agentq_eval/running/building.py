"""From a suite to what a worker plays with: environment, models, and one decider per arm."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from agentq.agent import Agent
from agentq.errors import ConfigError
from agentq.selectors.best_of_n import BestOfN
from agentq.selectors.registry import load_selector
from agentq_eval.episodes import ORACLE, TREE_SEARCH
from agentq_eval.running.deciders import AgentDecider, Decider, OracleDecider
from agentq_eval.running.jobs import Facts
from agentq_eval.running.planning import search_decider
from agentq_eval.running.worker import Workbench
from agentq_eval.suites.panels import load_panel
from agentq_eval.suites.suite import (
    ArmSpec,
    CriticSpec,
    EnvironmentSpec,
    PolicySpec,
    Suite,
)

if TYPE_CHECKING:
    from agentq.backbones.backbone import Backbone


_GYMNASIUM_ID = re.compile(r"-v\d+$")  # its part behind a colon is a name, not a class


def build_workbench(suite: Suite) -> Workbench:
    """Load everything that the suite names. Runs in each worker.

    Raises ``ConfigError`` for a name that does not import, ``TaskError`` for a panel that does not fit, and
    what loading the models raises.
    """
    make_env = partial(make_environment, suite.environment, suite.max_steps)
    parts = _Parts(suite)
    deciders: dict[str, Decider] = {}
    fingerprints: dict[str, Mapping[str, str]] = {}
    for arm in suite.arms:
        for n in arm.n:
            key = f"{arm.name}@{n}"
            deciders[key] = parts.decider(arm, n)
            fingerprints[key] = parts.fingerprints(arm)
    return Workbench(make_env, deciders, find_facts(suite, make_env, fingerprints), parts.tokens)


def find_facts(
    suite: Suite, make_env: Callable[[], Any], fingerprints: Mapping[str, Mapping[str, str]]
) -> Facts:
    """What the environment and its panel really are. Raises ``ConfigError`` when labels are not to be had."""
    env = make_env()
    try:
        base = env.unwrapped
        if suite.labels == "lookahead" and not callable(getattr(base, "lookahead", None)):
            raise ConfigError(
                f"suite {suite.name!r}: labels 'lookahead' need a method lookahead(actions, gamma), which "
                f"{type(base).__name__} does not offer. Set labels: none."
            )
        if any(arm.selector == ORACLE for arm in suite.arms) and not callable(
            getattr(base, "lookahead", None)
        ):
            raise ConfigError(
                f"suite {suite.name!r}: the selector 'oracle' needs a method lookahead(actions), which "
                f"{type(base).__name__} does not offer. Leave that arm out."
            )
        panel = load_panel(suite.panel, env)
        describe: Any = getattr(base, "provenance", dict)
        own: dict[str, Any] = dict(describe())
        environment = {"id": suite.environment.id, "class": type(base).__name__, **own}
    finally:
        env.close()
    about = {"name": panel.name, "hash": panel.hash, "played": len(panel.tasks)}
    return Facts(environment, about, panel.tasks, panel.strata, fingerprints)


def make_environment(spec: EnvironmentSpec, max_steps: int | None) -> Any:
    """One environment with the suite's step limit. Raises ``ConfigError`` when it cannot be found or made."""
    import gymnasium

    options: dict[str, Any] = dict(spec.options)
    outside = not spec.step_limit
    if spec.step_limit:
        options[spec.step_limit] = max_steps
    own = ":" in spec.id and not _GYMNASIUM_ID.search(spec.id)
    try:
        env = dotted(spec.id)(**options) if own else gymnasium.make(spec.id, **options)
    except (gymnasium.error.Error, TypeError) as error:
        raise ConfigError(
            f"environment {spec.id!r} with options {options}: {error}. Expected a Gymnasium id such as "
            "agentq_envs:agentq/WebShop-v0, or module:Class, and keyword arguments that it takes."
        ) from error
    if outside and max_steps is not None:
        env = gymnasium.wrappers.TimeLimit(env, max_steps)
    return env


def dotted(name: str) -> Any:
    """What ``module:name`` refers to. Raises ``ConfigError`` when it does not import."""
    module, _, attribute = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"{name!r} does not import ({error}). Expected module:name of something that is installed or on "
            "PYTHONPATH."
        ) from error
    return found


@dataclass
class _Parts:
    """Models of one worker: each is loaded once, however many arms use it."""

    suite: Suite

    def __post_init__(self) -> None:
        self._backbones: dict[Any, Backbone] = {}
        self._policies: dict[str, Any] = {}
        self._critic: Any = None
        self._agents: dict[str, Any] = {}

    def decider(self, arm: ArmSpec, n: int) -> Decider:
        if arm.agent:
            return self._foreign(arm.agent)
        policy = self._policy(_policy_of(self.suite, arm))
        if arm.selector == ORACLE:
            return OracleDecider(policy, BestOfN(), n)
        critic = self._critic_of(self.suite.critic) if arm.critic else None
        if arm.selector == TREE_SEARCH:
            return search_decider(policy, critic, n, arm.options)
        selector = load_selector(arm.selector, **arm.options)
        return AgentDecider(Agent(policy, selector, critic, n, on_invalid="execute"))

    def fingerprints(self, arm: ArmSpec) -> dict[str, str]:
        """Hashes of what an arm plays with; parts that have none are left out."""
        if arm.agent:
            return _fingerprint("agent", self._foreign(arm.agent))
        found = _fingerprint("policy", self._policy(_policy_of(self.suite, arm)))
        if arm.critic:
            found |= _fingerprint("critic", self._critic_of(self.suite.critic))
        return found

    def tokens(self) -> int:
        """Tokens that went through models so far."""
        total = sum(policy.statistics.computed_tokens for policy in self._policies.values()
                    if hasattr(policy, "statistics"))  # fmt: skip
        return total + int(getattr(self._critic, "tokens", 0))

    def _foreign(self, name: str) -> Decider:
        if name not in self._agents:
            agent = dotted(name)
            agent = agent() if callable(agent) and not isinstance(agent, Agent) else agent
            self._agents[name] = AgentDecider(agent) if isinstance(agent, Agent) else agent
        if not callable(getattr(self._agents[name], "decide", None)):
            raise ConfigError(
                f"agent {name!r} gives {type(self._agents[name]).__name__}, expected an agentq.Agent, an "
                "object with decide(views), or a function that returns one."
            )
        return self._agents[name]

    def _policy(self, spec: PolicySpec) -> Any:
        key = repr(spec)
        if key not in self._policies:
            self._policies[key] = self._new_policy(spec)
        return self._policies[key]

    def _new_policy(self, spec: PolicySpec) -> Any:
        if spec.factory:
            return _made(spec.factory, spec.options, temperature=spec.temperature)
        from agentq.backbones import BackboneConfig, load_backbone
        from agentq.policies.huggingface import HuggingFacePolicy

        config = BackboneConfig(
            spec.model, dtype=spec.dtype, quantization=spec.quantization, device=spec.device
        )
        if config not in self._backbones:
            self._backbones[config] = load_backbone(config)
        backbone = self._backbones[config]
        return HuggingFacePolicy(backbone, spec.temperature, spec.top_p, spec.max_new_tokens, spec.restrict)

    def _critic_of(self, spec: CriticSpec | None) -> Any:
        assert spec is not None  # checked by the suite
        if self._critic is None:
            if spec.factory:
                self._critic = _made(spec.factory, spec.options)
            else:
                from agentq.critics.loading import load_critic

                self._critic = load_critic(spec.path, device=spec.device)
        return self._critic


def _policy_of(suite: Suite, arm: ArmSpec) -> PolicySpec:
    if arm.temperature is None:
        return suite.policy
    return replace(suite.policy, temperature=arm.temperature)


def _made(factory: str, options: Mapping[str, Any], **offered: Any) -> Any:
    """The factory's product; of ``offered`` it receives what it has parameters for."""
    function = dotted(factory)
    known = inspect.signature(function).parameters
    extra = {name: value for name, value in offered.items() if name in known and name not in options}
    try:
        return function(**options, **extra)
    except TypeError as error:
        raise ConfigError(f"{factory!r} with options {dict(options)}: {error}.") from error


def _fingerprint(role: str, part: Any) -> dict[str, str]:
    """A part's own ``fingerprint``, or that of the weights and template behind it."""
    found: dict[str, str] = {}
    if isinstance(own := getattr(part, "fingerprint", None), str):
        found[role] = own
    backbone = getattr(part, "backbone", None)
    if backbone is not None:
        found[f"{role}_weights"] = backbone.fingerprint
        found[f"{role}_template"] = backbone.template_fingerprint
    return found
