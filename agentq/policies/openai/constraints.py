"""Admissible actions as a constraint that a server decodes under, and as a check of what came back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentq.errors import CandidateError
from agentq.policies.parsing import normalised
from agentq.policies.requests import FREE_TEXT

_SPECIAL = re.compile(r"[\\.^$*+?()\[\]{}|]")  # and nothing else: "\ " is no escape in the servers' engines


@dataclass(frozen=True)
class AdmissibleActions:
    """The actions of one state; one of them may hold a free-text slot, ``search[<free text>]``.

    The slot takes one character or more, no line break and not the first character of the text behind it.
    Raises ``CandidateError`` for an action with two slots.
    """

    actions: tuple[str, ...]

    def __post_init__(self) -> None:
        for action in self.actions:
            if action.count(FREE_TEXT) > 1:
                raise CandidateError(
                    f"admissible action {action!r} holds {FREE_TEXT!r} twice; one slot per action is supported. "
                    "Offer it as two actions, or parse the second part out of the first."
                )

    @property
    def literal(self) -> bool:
        """Whether no action holds free text."""
        return not any(FREE_TEXT in action for action in self.actions)

    def structured_outputs(self) -> dict[str, Any]:
        """vLLM's request field: a choice among texts, or a regular expression where a slot is among them."""
        if self.literal:
            return {"choice": list(self.actions)}
        return {"regex": "|".join(_pattern(action) for action in self.actions)}

    def find(self, action: str) -> str | None:
        """The admissible action that a reply means, in this state's spelling; None: it means none."""
        wanted = normalised(action)
        for allowed in self.actions:
            if FREE_TEXT in allowed:
                if re.fullmatch(_pattern(allowed), action):
                    return action
            elif action == allowed or wanted == normalised(allowed):
                return allowed
        return None


def admissible_actions(actions: Sequence[str]) -> AdmissibleActions:
    """The distinct actions in their order."""
    return AdmissibleActions(tuple(dict.fromkeys(actions)))


def _pattern(action: str) -> str:
    head, slot, closing = action.partition(FREE_TEXT)
    if not slot:
        return _escaped(action)
    barred = r"\n\r" + (_in_class(closing[0]) if closing else "")
    return f"{_escaped(head)}[^{barred}]+{_escaped(closing)}"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda match: "\\" + match.group(), text)


def _in_class(character: str) -> str:
    return "\\" + character if character in "\\]^-[" else character
