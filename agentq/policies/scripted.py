"""A policy from a plain function: experts, noise baselines and fakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from agentq.policies.parsing import ActionParser, deduplicate, parse_action
from agentq.policies.requests import check_request
from agentq.types import Candidate, Messages

#: (messages, admissible actions or None, generator) -> the reply's text.
Script: TypeAlias = Callable[[Messages, Sequence[str] | None, np.random.Generator], str]


class ScriptedPolicy:
    """Proposes what ``fn`` answers; called once per sample with a generator seeded by (seed, sample)."""

    def __init__(self, fn: Script, parser: ActionParser | None = None) -> None:
        self.fn = fn
        self.parser = parser

    def propose(
        self,
        batch: Sequence[Messages],
        n: int,
        seeds: Sequence[int],
        admissible: Sequence[Sequence[str] | None] | None = None,
    ) -> list[list[Candidate]]:
        """As in ``Policy.propose``; sample i of a state is the same for every n > i."""
        allowed = check_request(batch, n, seeds, admissible)
        return [
            deduplicate(self._sample(messages, actions, seed, i) for i in range(n))
            for messages, actions, seed in zip(batch, allowed, seeds, strict=True)
        ]

    def _sample(self, messages: Messages, actions: Sequence[str] | None, seed: int, sample: int) -> Candidate:
        text = self.fn(messages, actions, np.random.default_rng([seed, 2, sample]))
        parsed = parse_action(text, self.parser)
        return Candidate(text=text, action=parsed.action, error=parsed.error)
