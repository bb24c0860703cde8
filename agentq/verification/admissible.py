"""Whether an action is among those that the environment allows."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from agentq.policies.parsing import normalised
from agentq.policies.requests import FREE_TEXT
from agentq.verification.base import Situation

_MOST_COMPARED = 1000  # actions among which the nearest is looked for: comparing letters is slow


@dataclass(frozen=True)
class Admissible:
    """Refuses what is not in the list of admissible actions; where no list is known, everything passes.

    Actions are compared as deduplication compares them: spaces collapsed, the verb in lower case. An entry
    with a free-text slot (``agentq.policies.constrained.FREE_TEXT``), such as ``search[<free text>]``, allows
    any text of at least one character there.
    """

    name = "admissible"

    def reason(self, action: str, situation: Situation) -> str | None:
        """Names the nearest admissible action."""
        if situation.admissible is None:
            return None
        allowed = {normalised(entry): entry for entry in situation.admissible}
        key = normalised(action)
        if key in allowed or any(FREE_TEXT in entry and _fills(key, entry) for entry in allowed):
            return None
        few = len(allowed) <= _MOST_COMPARED
        near = difflib.get_close_matches(key, list(allowed), n=1) if few else []
        hint = f"; the nearest is {allowed[near[0]]!r}" if near else ""
        return f"{action[:60]!r} is not among the {len(allowed)} admissible actions{hint}"


def _fills(action: str, entry: str) -> bool:
    """Whether the action is the entry with some text in its slot."""
    before, _, after = entry.partition(FREE_TEXT)
    longer = len(action) > len(before) + len(after)
    return longer and action.startswith(before) and action.endswith(after)
