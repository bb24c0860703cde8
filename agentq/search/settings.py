"""How a tree is searched: sizes, the score that guides the walk, and the variants of the published code.

The variants are those of "Enhancing Decision-Making for LLM Agents via Step-Level Q-Value Models" (arXiv
2409.09345) and of "Language Agent Tree Search" (LATS, arXiv 2310.04406), each for WebShop and HotPotQA, as their
official code has them rather than as the papers describe them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from agentq.errors import ConfigError

Variant = Literal["stepq_webshop", "stepq_hotpot", "lats_webshop", "lats_hotpot"]
Uct = Literal["textbook", "official"]


@dataclass(frozen=True, slots=True)
class Rules:
    """Where the variants differ."""

    initial: Literal["reward", "zero"] = "reward"  # a node's value before its first visit
    unvisited: Literal["optimistic", "value"] = (
        "optimistic"  # its score then: +inf unless below 0, or that value
    )
    invalid_reward: float = -1.0  # of a reply that does not parse or that the environment refuses
    depth_penalty: float = -0.5  # what a simulation returns that reaches the depth limit
    failure: float | None = (
        None  # what a terminal node with reward 0 takes for itself; none: what is passed up
    )
    ends_at_depth: bool = False  # a node at the depth limit becomes terminal when it is to be expanded
    root_kept: bool = False  # the walk stops where it would take a child of the root out of the tree
    ends_on_reward: bool = True  # any positive reward ends the task
    guided_rollouts: bool = False  # simulations follow the best of several valued replies
    root_factor: int = 1  # times as many samples at the root
    relative_values: bool = False  # the judge's values are divided by the largest of the siblings
    any_success_ends: bool = False  # also one that only a simulation met


VARIANTS: dict[Variant, Rules] = {
    "stepq_webshop": Rules(),
    "stepq_hotpot": Rules(
        initial="zero", depth_penalty=-1.0, failure=-1.0, ends_at_depth=True, root_kept=True, ends_on_reward=False
    ),
    "lats_webshop": Rules(
        guided_rollouts=True, root_factor=2, relative_values=True, any_success_ends=True
    ),
    "lats_hotpot": Rules(
        initial="zero", unvisited="value", depth_penalty=-1.0, failure=-1.0, ends_at_depth=True,
        ends_on_reward=False, guided_rollouts=True, any_success_ends=True,
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """A tree search. Raises ``ConfigError`` for values that cannot be searched with.

    ``uct="official"`` reproduces the published code bit by bit, its double division and its deleting of
    exhausted nodes included; ``"textbook"`` scores V + c sqrt(ln N / n) and keeps every node. With
    ``guide="puct"`` a critic's values become priors (softmax) and the score is V + c P sqrt(N) / (1 + n).
    """

    variant: Variant = "stepq_webshop"
    uct: Uct = "textbook"
    guide: Literal["uct", "puct"] = "uct"
    #: What a new child is worth at first and a simulation: the environment's reward after playing on, or the critic.
    values: Literal["reward", "critic"] = "reward"
    evaluation: Literal["rollout", "critic"] = "rollout"
    iterations: int = 30
    width: int = 5  # samples per expansion
    rollout_width: int = 0  # samples per step of a simulation; 0: 1, or 5 for LATS
    max_depth: int = 10  # actions from the root
    exploration: float = math.sqrt(2.0)  # c; the official score has sqrt(2) fixed
    prior_temperature: float = 1.0  # of the critic's values in PUCT, in units of their spread among siblings
    early_stop: bool = True  # end when a tree node has the full reward
    rollout_early_stop: bool = False  # end also when a simulation met it
    keep_invalid: bool | None = None  # invalid replies become nodes; none: only with uct="official"
    in_flight: int = 1  # simulations of one tree at a time; above 1 a virtual loss keeps them apart
    virtual_value: float = 0.0  # what a simulation under way counts as

    def __post_init__(self) -> None:
        if self.variant not in VARIANTS:
            raise ConfigError(f"variant={self.variant!r}: expected one of {', '.join(VARIANTS)}.")
        for name in ("iterations", "width", "max_depth", "in_flight"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}: expected at least 1.")
        for name in ("exploration", "rollout_width"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}={getattr(self, name)}: expected 0 or more.")
        if not self.prior_temperature > 0:
            raise ConfigError(f"prior_temperature={self.prior_temperature}: expected a number above 0.")
        if self.uct not in ("textbook", "official"):
            raise ConfigError(f"uct={self.uct!r}: expected 'textbook' or 'official'.")
        if self.uct == "official" and self.in_flight > 1:
            raise ConfigError(
                f"in_flight={self.in_flight} with uct='official': the published code runs one simulation at a time. "
                "Use in_flight=1, or uct='textbook'."
            )

    @property
    def rules(self) -> Rules:
        """The variant's rules."""
        return VARIANTS[self.variant]

    @property
    def uses_critic(self) -> bool:
        """Whether a critic (or judge) is asked."""
        wanted = "critic" in (self.values, self.evaluation) or self.guide == "puct"
        return wanted or self.rules.guided_rollouts

    @property
    def simulation_width(self) -> int:
        """Samples per step of a simulation."""
        return self.rollout_width or (5 if self.rules.guided_rollouts else 1)

    @property
    def keeps_invalid(self) -> bool:
        """Whether replies that do not parse become nodes."""
        return self.uct == "official" if self.keep_invalid is None else self.keep_invalid
