"""What a command line changes in a suite."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agentq.config_yaml import parse_yaml
from agentq.errors import ConfigError
from agentq_eval.episodes import TREE_SEARCH
from agentq_eval.suites.suite import ArmSpec, CriticSpec, PolicySpec, Suite


def policy_of(suite: PolicySpec, name: str) -> PolicySpec:
    """The suite's policy with another model, or a factory where ``name`` is ``module:function``."""
    if _is_factory(name):
        return replace(suite, factory=name)
    return replace(suite, model=name, factory="")


def critic_of(name: str) -> CriticSpec:
    """A saved critic, or a factory where ``name`` is ``module:function``."""
    return CriticSpec(factory=name) if _is_factory(name) else CriticSpec(path=name)


def selector_of(text: str) -> tuple[str, dict[str, Any]]:
    """Name and options of ``softmax:temperature=0.2,scale=std``. Raises ``ConfigError`` for other spellings."""
    name, _, rest = text.partition(":")
    options: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise ConfigError(f"selector option {part!r}: expected key=value, e.g. softmax:temperature=0.2.")
        options[key.strip()] = parse_yaml(value.strip(), f"--selector {name}")
    return name, options


def with_arms(suite: Suite, names: tuple[str, ...]) -> Suite:
    """The suite with only the named arms. Raises ``ConfigError`` for a name that it does not have."""
    known = [arm.name for arm in suite.arms]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"suite {suite.name!r} has no arm {name!r}, it has {', '.join(known)}.{hint}")
    return replace(suite, arms=tuple(arm for arm in suite.arms if arm.name in names))


def with_selector(suite: Suite, selector: str, options: Mapping[str, Any]) -> Suite:
    """The suite with one arm by this selector in place of all arms that use the critic.

    The arm is named after the selector; arms without the critic (bases, bounds) stay. Its N are those of the arms
    that it replaces, but not a tree search's, which are samples per expansion.
    """
    by_critic = [arm for arm in suite.arms if arm.critic and arm.selector != TREE_SEARCH]
    n = tuple(sorted({size for arm in by_critic for size in arm.n})) or (8,)
    arm = ArmSpec(selector, selector, dict(options), n, critic=suite.critic is not None)
    others = tuple(a for a in suite.arms if not a.critic and a.name != selector)
    roles = replace(suite.roles, method=selector)
    return replace(suite, arms=(*others, arm), roles=roles)


def with_candidates(suite: Suite, n: tuple[int, ...]) -> Suite:
    """The suite with these N for every arm that has more than one candidate."""
    return replace(suite, arms=tuple(arm if arm.n == (1,) else replace(arm, n=n) for arm in suite.arms))


def _is_factory(name: str) -> bool:
    module, colon, function = name.partition(":")
    return bool(colon) and all(part.isidentifier() for part in (*module.split("."), *function.split(".")))
