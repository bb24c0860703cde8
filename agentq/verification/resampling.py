"""Asking once more when checks refused everything, with what they said in the prompt (LightPlanner; notes A9).

Only prompts differ: the state that a critic values and the log keeps stays what the environment showed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from agentq.types import Candidate, Messages
from agentq.verification.base import Check, Situation, refusal_of

#: Flags of a decision: the policy was asked once more; that request failed, so the first round had to do.
RESAMPLED = "resampled"
RESAMPLE_FAILED = "resample_failed"

_MOST_REASONS = 8  # in a note; policies that say more than that have nothing to learn from the rest


def refusal_note(
    candidates: Sequence[Candidate], situation: Situation, checks: Sequence[Check]
) -> str | None:
    """What to tell a policy whose actions are all refused; None where one passes or none had parsed."""
    reasons: dict[str, None] = {}
    for candidate in candidates:
        if candidate.valid:
            refusal = refusal_of(candidate, situation, checks)
            if refusal is None:
                return None
            reasons[f"- {refusal.reason}"] = None
    if not reasons:
        return None
    lines = list(reasons)[:_MOST_REASONS]
    return "\n".join(["What you proposed for this step was refused:", *lines, "Propose another action."])


def with_note(messages: Messages, note: str) -> Messages:
    """Messages that end with a note, in the user's last message where it is the last: templates want turns."""
    last = messages[-1] if messages else {}
    content = last.get("content")
    if last.get("role") != "user" or not isinstance(content, str | list):
        return [*messages, {"role": "user", "content": note}]
    more = f"{content}\n\n{note}" if isinstance(content, str) else [*content, {"type": "text", "text": note}]
    return [*messages[:-1], {**last, "content": more}]


def second_seed(seed: int) -> int:
    """The seed of a state's second round, apart from that of the first and of the selector's draw."""
    return int(np.random.SeedSequence([seed, 2]).generate_state(1, np.uint64)[0] >> 1)
