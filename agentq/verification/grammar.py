"""Whether an action obeys the grammar of an environment or of an interface."""

from __future__ import annotations

from dataclasses import dataclass

from agentq.policies.parsing import ActionParser
from agentq.verification.base import Situation


@dataclass(frozen=True)
class Grammar:
    """Refuses what ``parser`` does not read; for policies that were made without the environment's parser."""

    parser: ActionParser
    name = "grammar"

    def reason(self, action: str, situation: Situation) -> str | None:
        """Repeats the start of the action."""
        if self.parser(action) is not None:
            return None
        return f"{action[:60]!r} is no action of this environment"
