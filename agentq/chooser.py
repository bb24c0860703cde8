"""A critic and a selector: what chooses among candidates, whoever proposed them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from agentq.critics.base import Critic, Scores
from agentq.selectors.base import Selector
from agentq.selectors.registry import options_of
from agentq.types import Candidate, Decision, Messages
from agentq.verification.base import Check, Situation, Verified, verified
from agentq.verification.resampling import refusal_note

OnInvalid: TypeAlias = Literal["raise", "execute", "first"]


@dataclass(frozen=True)
class Chooser:
    """Values candidates and chooses one per state; agents, wrapped agents and the gateway share it.

    Without a critic every valid candidate has value 0 and the selector alone decides (one sample, majority).
    ``checks`` refuse candidates before the critic is asked (``agentq.verification``); refused ones are logged
    as invalid, with the reason. ``on_invalid`` says what happens where no candidate of a state is left:

    - raise: ``SelectorError``;
    - execute: the first one's raw text is the action and the selector is logged as "invalid": an evaluation
      must count a babbling policy as failing rather than stop;
    - first: the first candidate that had parsed is put back, as the only choice; where none had, as execute.

    Where it was the checks that left none, the decision is flagged "all_refused". With ``resample`` whoever
    proposes is asked once more before that, with the checks' reasons in the prompt (``note``), and chooses among
    both rounds' candidates, flagged "resampled".
    """

    selector: Selector
    critic: Critic | None = None
    on_invalid: OnInvalid = "raise"
    checks: tuple[Check, ...] = ()
    resample: bool = False

    def choose(
        self,
        batch: Sequence[Messages],
        proposals: Sequence[Sequence[Candidate]],
        seeds: Sequence[int],
        admissible: Sequence[Sequence[str] | None] | None = None,
        flags: Sequence[tuple[str, ...]] | None = None,
    ) -> list[Decision]:
        """One decision per state, from its messages, candidates, admissible actions and seed alone.

        Only checks read ``admissible`` (None: not known); ``flags`` of each state are logged with its decision.
        Raises ``CriticError`` for an empty list of candidates, ``SelectorError`` when none is valid.
        """
        left = self.verify(batch, proposals, admissible)
        scored = self.values(batch, [one.candidates for one in left])
        before: Sequence[tuple[str, ...]] = [()] * len(left) if flags is None else flags
        return [
            self.decide(one.candidates, scores, seed, (*had, *one.flags))
            for one, scores, seed, had in zip(left, scored, seeds, before, strict=True)
        ]

    def note(
        self, messages: Messages, candidates: Sequence[Candidate], admissible: Sequence[str] | None = None
    ) -> str | None:
        """What the prompt of a second round says; None where there is none: not wanted, or something passes."""
        if not self.resample or not self.checks:
            return None
        situation = Situation(messages, None if admissible is None else tuple(admissible))
        return refusal_note(candidates, situation, self.checks)

    def verify(
        self,
        batch: Sequence[Messages],
        proposals: Sequence[Sequence[Candidate]],
        admissible: Sequence[Sequence[str] | None] | None = None,
    ) -> list[Verified]:
        """The candidates of each state after all checks, and what to log about it."""
        known = [None] * len(batch) if admissible is None else admissible
        return [
            verified(
                candidates,
                Situation(messages, None if actions is None else tuple(actions)),
                self.checks,
                put_back=self.on_invalid == "first",
            )
            for messages, candidates, actions in zip(batch, proposals, known, strict=True)
        ]

    def values(self, batch: Sequence[Messages], proposals: Sequence[Sequence[Candidate]]) -> list[Scores]:
        """The critic's values of all candidates, in one call."""
        if self.critic is not None:
            return self.critic.score_heads(list(zip(batch, proposals, strict=True)))
        return [
            Scores(q=np.array([0.0 if c.valid else -np.inf for c in candidates])) for candidates in proposals
        ]

    def decide(
        self, candidates: Sequence[Candidate], scores: Scores, seed: int, flags: tuple[str, ...] = ()
    ) -> Decision:
        """The choice among candidates that are checked and scored already; ``flags`` are logged with it."""
        if self.on_invalid != "raise" and not any(candidate.valid for candidate in candidates):
            certain = np.eye(1, len(candidates))[0]
            return Decision(
                candidates=tuple(candidates),
                q=scores.q,
                probabilities=certain,
                index=0,
                head_q=scores.head_q,
                selector="invalid",
                flags=flags,
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
            flags=(*flags, *selection.flags),
            support=scores.support,
            selector_options=options_of(self.selector),
        )
