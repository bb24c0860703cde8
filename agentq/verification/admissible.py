"""Whether an action is among those that the environment allows."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from agentq.policies.parsing import normalised
from agentq.verification.base import Situation


@dataclass(frozen=True)
class Admissible:
    """Refuses what is not in the list of admissible actions; where no list is known, everything passes.

    Actions are compared as deduplication compares them: spaces collapsed, the verb in lower case. ``open``
    names verbs whose argument is free, e.g. ("search",): then search[anything] passes where the list has an
    entry with that verb.
    """

    open: tuple[str, ...] = ()
    name = "admissible"

    def reason(self, action: str, situation: Situation) -> str | None:
        """Names the nearest admissible action."""
        if situation.admissible is None:
            return None
        allowed = {normalised(entry): entry for entry in situation.admissible}
        key = normalised(action)
        if key in allowed or self._open(key, allowed):
            return None
        near = difflib.get_close_matches(key, list(allowed), n=1)
        hint = f"; the nearest is {allowed[near[0]]!r}" if near else ""
        return f"{action[:60]!r} is not among the {len(allowed)} admissible actions{hint}"

    def _open(self, key: str, allowed: dict[str, str]) -> bool:
        return any(
            key.startswith(f"{verb}[") and any(entry.startswith(f"{verb}[") for entry in allowed)
            for verb in self.open
        )
