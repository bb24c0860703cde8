"""The grammar of actions: ``search[title]``, ``lookup[keyword]``, ``finish[answer]``, ``think[anything]``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentq.policies.parsing import parse_action as find_action

VERBS = ("search", "lookup", "finish", "think")
#: The actions with ``<free text>`` for their arguments, for policies that sample admissible actions only.
TEMPLATES = ("search[<free text>]", "lookup[<free text>]", "finish[<free text>]")
_ACTION = re.compile(r"\s*([^\[\s]+)\s*\[([^\]]*)\]")


@dataclass(frozen=True, slots=True)
class Action:
    """A verb in lower case and its argument."""

    verb: str
    argument: str

    def __str__(self) -> str:
        return f"{self.verb}[{self.argument}]"


def parse_action(text: str) -> Action | None:
    """The action in a text, with or without a thought before it; None when there is none.

    A ReAct reply ("Thought: ... Action: Search[x]") counts by its action. The argument ends at the first "]".
    """
    found = _ACTION.match(text)
    if found is None or found[1].lower() not in VERBS:
        line = find_action(text).action
        found = None if line is None else _ACTION.match(line)
    if found is None or found[1].lower() not in VERBS:
        return None
    return Action(found[1].lower(), found[2])


def canonical(text: str) -> str | None:
    """The action in its one spelling, None for no action: the ``parser`` of a policy."""
    action = parse_action(text)
    return None if action is None else str(action)
