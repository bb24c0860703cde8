"""An agent is a policy that proposes, a critic that values and a selector that chooses."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from agentq.critics.base import Critic, Scores
from agentq.errors import CandidateError
from agentq.policies.base import Policy
from agentq.selectors.base import Selector
from agentq.types import Candidate, Decision, Messages


def decision_seed(task: str, seed: int, step: int) -> int:
    """The seed of one decision: the same on every machine and for any number of workers."""
    digest = hashlib.blake2b(f"{task}\x00{seed}\x00{step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


@dataclass(frozen=True)
class Agent:
    """Chooses the next action among ``n`` candidates of the policy.

    Without a critic every candidate has value 0 and the selector alone decides (one sample, majority).
    Where no candidate of a state is valid, ``on_invalid`` raises ``SelectorError`` or executes the first
    one's raw text: an evaluation must count a babbling policy as failing rather than stop.
    """

    policy: Policy
    selector: Selector
    critic: Critic | None = None
    n: int = 8
    on_invalid: Literal["raise", "execute"] = "raise"

    def act(self, messages: Messages, seed: int = 0, admissible: Sequence[str] | None = None) -> Decision:
        """The decision in one state."""
        return self.act_batch([messages], [seed], [admissible])[0]

    def act_batch(
        self,
        batch: Sequence[Messages],
        seeds: Sequence[int],
        admissible: Sequence[Sequence[str] | None] | None = None,
    ) -> list[Decision]:
        """One decision per state; each depends on its own messages and seed alone.

        Raises ``CandidateError`` when the policy returns no candidates for a state, ``SelectorError``
        when none of them is valid.
        """
        proposals = self.policy.propose(batch, self.n, seeds, admissible)
        for position, candidates in enumerate(proposals):
            if not candidates:
                raise CandidateError(
                    f"state {position}: the policy returned no candidates out of n={self.n}. "
                    "Check max_new_tokens and the admissible actions of this state."
                )
        scores = self._scores(batch, proposals)
        return [
            self._decide(candidates, score, seed)
            for candidates, score, seed in zip(proposals, scores, seeds, strict=True)
        ]

    def _scores(self, batch: Sequence[Messages], proposals: list[list[Candidate]]) -> list[Scores]:
        if self.critic is not None:
            return self.critic.score_heads(list(zip(batch, proposals, strict=True)))
        return [
            Scores(q=np.array([0.0 if c.valid else -np.inf for c in candidates])) for candidates in proposals
        ]

    def _decide(self, candidates: list[Candidate], scores: Scores, seed: int) -> Decision:
        if self.on_invalid == "execute" and not any(candidate.valid for candidate in candidates):
            certain = np.eye(1, len(candidates))[0]
            return Decision(tuple(candidates), scores.q, certain, 0, head_q=scores.head_q, selector="invalid")
        # The selector's stream is apart from the policy's, which is seeded with the number itself.
        rng = np.random.default_rng([seed, 1])
        selection = self.selector.select(scores.q, candidates, rng)
        return Decision(
            candidates=tuple(candidates),
            q=scores.q,
            probabilities=selection.probabilities,
            index=selection.index,
            draw=selection.draw,
            head_q=scores.head_q,
            selector=self.selector.name,
        )
