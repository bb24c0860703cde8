"""An agent is a policy that proposes, a critic that values and a selector that chooses."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from agentq.chooser import Chooser, OnInvalid
from agentq.critics.base import Critic
from agentq.errors import CandidateError
from agentq.policies.base import Policy
from agentq.selectors.base import Selector
from agentq.types import Decision, Messages
from agentq.verification.base import Check


def decision_seed(task: str, seed: int, step: int) -> int:
    """The seed of one decision: the same on every machine and for any number of workers."""
    digest = hashlib.blake2b(f"{task}\x00{seed}\x00{step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


@dataclass(frozen=True)
class Agent:
    """Chooses the next action among ``n`` candidates of the policy.

    ``critic``, ``on_invalid`` and ``checks`` are those of ``agentq.chooser.Chooser``.
    """

    policy: Policy
    selector: Selector
    critic: Critic | None = None
    n: int = 8
    on_invalid: OnInvalid = "raise"
    checks: tuple[Check, ...] = ()

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
        return self.chooser.choose(batch, proposals, seeds, admissible)

    @property
    def chooser(self) -> Chooser:
        """The part that values and chooses, without the policy."""
        return Chooser(self.selector, self.critic, self.on_invalid, self.checks)
