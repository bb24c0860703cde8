"""Action memory: what was just done is not done again."""

from __future__ import annotations

from dataclasses import dataclass

from agentq.errors import ConfigError
from agentq.policies.parsing import normalised
from agentq.verification.base import Situation
from agentq.verification.history import HistoryLine, PastActions, chat_actions


@dataclass(frozen=True)
class Repeated:
    """Refuses an action that stands ``times`` times among the last ``window`` past actions.

    ``past`` reads them from the messages: ``chat_actions`` from a conversation, ``HistoryLine`` from a line
    of the prompt (a text is what that line begins with), or any function, e.g. one that returns actions the
    caller has kept. Raises ``ConfigError`` unless 1 <= times <= window.
    """

    times: int = 2
    window: int = 6
    past: PastActions | str = chat_actions
    name = "repeated"

    def __post_init__(self) -> None:
        if not 1 <= self.times <= self.window:
            raise ConfigError(
                f"times={self.times}, window={self.window}: expected 1 <= times <= window; an action cannot "
                "stand more often in a window than the window is long."
            )

    def reason(self, action: str, situation: Situation) -> str | None:
        """Says how often."""
        past = HistoryLine(self.past) if isinstance(self.past, str) else self.past
        recent = [normalised(one) for one in list(past(situation.messages))[-self.window :]]
        count = recent.count(normalised(action))
        if count < self.times:
            return None
        return f"{action[:60]!r} was taken {count} times in the last {len(recent)} steps"
