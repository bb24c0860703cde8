"""A critic and a selector: what chooses among candidates, whoever proposed them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agentq.critics.base import Critic, Scores
from agentq.selectors.base import Selector
from agentq.selectors.registry import options_of
from agentq.types import Candidate, Decision, Messages


@dataclass(frozen=True)
class Chooser:
    """Values candidates and chooses one per state; agents, wrapped agents and the gateway share it.

    Without a critic every valid candidate has value 0 and the selector alone decides (one sample, majority).
    Where no candidate of a state is valid, ``on_invalid`` raises ``SelectorError`` or executes the first
    one's raw text: an evaluation must count a babbling policy as failing rather than stop.
    """

    selector: Selector
    critic: Critic | None = None
    on_invalid: Literal["raise", "execute"] = "raise"

    def choose(
        self, batch: Sequence[Messages], proposals: Sequence[Sequence[Candidate]], seeds: Sequence[int]
    ) -> list[Decision]:
        """One decision per state, from its messages, candidates and seed alone.

        Raises ``CriticError`` for an empty list of candidates, ``SelectorError`` when none is valid.
        """
        return [
            self.decide(candidates, scores, seed)
            for candidates, scores, seed in zip(proposals, self.values(batch, proposals), seeds, strict=True)
        ]

    def values(self, batch: Sequence[Messages], proposals: Sequence[Sequence[Candidate]]) -> list[Scores]:
        """The critic's values of all candidates, in one call."""
        if self.critic is not None:
            return self.critic.score_heads(list(zip(batch, proposals, strict=True)))
        return [
            Scores(q=np.array([0.0 if c.valid else -np.inf for c in candidates])) for candidates in proposals
        ]

    def decide(self, candidates: Sequence[Candidate], scores: Scores, seed: int) -> Decision:
        """The choice among candidates that are scored already."""
        if self.on_invalid == "execute" and not any(candidate.valid for candidate in candidates):
            certain = np.eye(1, len(candidates))[0]
            return Decision(
                candidates=tuple(candidates),
                q=scores.q,
                probabilities=certain,
                index=0,
                head_q=scores.head_q,
                selector="invalid",
                support=scores.support,
            )
        # The selector's stream is apart from the policy's, which is seeded with the number itself.
        rng = np.random.default_rng([seed, 1])
        selection = self.selector.select(scores, candidates, rng)
        return Decision(
            candidates=tuple(candidates),
            q=scores.q,
            probabilities=selection.probabilities,
            index=selection.index,
            draw=selection.draw,
            head_q=scores.head_q,
            selector=self.selector.name,
            flags=selection.flags,
            support=scores.support,
            selector_options=options_of(self.selector),
        )
