"""Action memory: what was done here without effect is not done again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from agentq.policies.parsing import normalised
from agentq.types import Messages
from agentq.verification.base import Situation
from agentq.verification.history import action_of


@dataclass(frozen=True)
class NoEffect:
    """Refuses an action that, earlier in the conversation, left this very observation as it is.

    An observation is what stands after the assistant's message: the newest one must equal both the one
    before and the one after the earlier action. Needs the history as messages.
    """

    name = "no_effect"

    def reason(self, action: str, situation: Situation) -> str | None:
        """Repeats the action."""
        turns = _turns(situation.messages)
        if len(turns) < 2:
            return None
        now, key = turns[-1][1], normalised(action)
        for (_, before), (taken, after) in pairwise(turns):
            if taken is not None and normalised(taken) == key and before == after == now:
                return f"{action[:60]!r} was tried on this page and changed nothing"
        return None


def _turns(messages: Messages) -> list[tuple[str | None, list[Any]]]:
    """(action, contents observed after it); the first has what stood there before any action."""
    turns: list[tuple[str | None, list[Any]]] = [(None, [])]
    for message in messages:
        if message.get("role") == "assistant":
            turns.append((action_of(message), []))
        elif message.get("role") != "system":
            turns[-1][1].append(_content(message))
    return turns


def _content(message: Mapping[str, Any]) -> Any:
    return message.get("content")
