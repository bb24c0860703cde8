"""An agent is a policy that proposes, a critic that values and a selector that chooses."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from agentq.chooser import Chooser, OnInvalid
from agentq.critics.base import Critic
from agentq.errors import CandidateError
from agentq.policies.base import Policy
from agentq.policies.parsing import deduplicate
from agentq.selectors.base import Selector
from agentq.types import Candidate, Decision, Messages
from agentq.verification.base import Check
from agentq.verification.resampling import RESAMPLED, second_seed, with_note


def decision_seed(task: str, seed: int, step: int) -> int:
    """The seed of one decision: the same on every machine and for any number of workers."""
    digest = hashlib.blake2b(f"{task}\x00{seed}\x00{step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


@dataclass(frozen=True)
class Agent:
    """Chooses the next action among ``n`` candidates of the policy.

    ``critic``, ``on_invalid``, ``checks`` and ``resample`` are those of ``agentq.chooser.Chooser``.
    """

    policy: Policy
    selector: Selector
    critic: Critic | None = None
    n: int = 8
    on_invalid: OnInvalid = "raise"
    checks: tuple[Check, ...] = ()
    resample: bool = False

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
        rounds, flags = self._resampled(batch, proposals, seeds, admissible)
        return self.chooser.choose(batch, rounds, seeds, admissible, flags)

    def _resampled(
        self,
        batch: Sequence[Messages],
        proposals: Sequence[Sequence[Candidate]],
        seeds: Sequence[int],
        admissible: Sequence[Sequence[str] | None] | None,
    ) -> tuple[Sequence[Sequence[Candidate]], list[tuple[str, ...]]]:
        """Candidates and flags of each state, those of one more round included where checks refused the first."""
        known = [None] * len(batch) if admissible is None else admissible
        each = zip(batch, proposals, known, strict=True)
        notes = [self.chooser.note(*one) for one in each]
        again = [(i, note) for i, note in enumerate(notes) if note is not None]
        rounds = list(proposals)
        flags: list[tuple[str, ...]] = [()] * len(batch)
        if not again:
            return rounds, flags
        second = self.policy.propose(
            [with_note(batch[i], note) for i, note in again],
            self.n,
            [second_seed(seeds[i]) for i, _ in again],
            None if admissible is None else [known[i] for i, _ in again],
        )
        for (i, _), more in zip(again, second, strict=True):
            rounds[i], flags[i] = deduplicate([*proposals[i], *more]), (RESAMPLED,)
        return rounds, flags

    @property
    def chooser(self) -> Chooser:
        """The part that values and chooses, without the policy."""
        return Chooser(self.selector, self.critic, self.on_invalid, self.checks, self.resample)
