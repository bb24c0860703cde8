"""Which actions were taken before, read from the messages: a check needs no state of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from agentq.policies.openai.candidates import text_of_content, tool_call_action
from agentq.policies.parsing import parse_action
from agentq.types import Messages

#: Past actions of the episode that led to these messages, oldest first.
PastActions: TypeAlias = Callable[[Messages], Sequence[str]]


def chat_actions(messages: Messages) -> list[str]:
    """The actions of the assistant's messages: tool calls in canonical form, else the parsed reply.

    Replies without an action are left out.
    """
    found = [action_of(message) for message in messages if message.get("role") == "assistant"]
    return [action for action in found if action is not None]


def action_of(message: Mapping[str, Any]) -> str | None:
    """The action of one assistant message, None where it has none."""
    calls: Sequence[Mapping[str, Any]] = message.get("tool_calls") or ()
    if calls:
        return tool_call_action(calls)[0]
    return parse_action(text_of_content(message.get("content"))).action


@dataclass(frozen=True)
class HistoryLine:
    """Reads past actions from a line of the newest message, such as ``Done: search[mug] > click[b1]``.

    ``nothing`` is what the line says when there are none.
    """

    prefix: str = "Done: "
    separator: str = " > "
    nothing: str = "nothing"

    def __call__(self, messages: Messages) -> list[str]:
        """Oldest first; empty where there is no such line."""
        text = text_of_content(messages[-1].get("content")) if messages else ""
        for line in text.splitlines():
            if line.startswith(self.prefix):
                rest = line[len(self.prefix) :].strip()
                return [] if rest in ("", self.nothing) else rest.split(self.separator)
        return []
