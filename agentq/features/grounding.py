"""What an action refers to: the text of the observation that a critic should read beside it.

`click[b074318552]` says nothing about the product behind it; the line of the page in which the button
stands does. A grounding is any function ``(messages, action) -> str`` whose text is put behind the
action before it is turned into tokens; a critic stores its name, so that training and use agree.
"""

from __future__ import annotations

import re

from agentq.types import Messages

_ARGUMENT = re.compile(r"\[(.+)\]", re.DOTALL)
_MAX_LINE = 400  # characters; a button inside a whole paragraph says little


def newest_text(messages: Messages) -> str:
    """The newest message when it is text, else "": what a grounding reads."""
    content = messages[-1].get("content") if messages else None
    return content if isinstance(content, str) else ""


def quoted_line(messages: Messages, action: str) -> str:
    """The line of the newest message that shows the action's bracketed argument as a button.

    Returns ``"line"`` without surrounding space, or "" when the argument stands on no line (free text).
    Never raises on text; image parts are passed over.
    """
    match = _ARGUMENT.search(action)
    argument = "" if match is None else match.group(1).strip().lower()
    content = newest_text(messages)
    if not argument:
        return ""
    buttons = (f"[{argument}]", f"[ {argument} ]")
    for line in reversed(content.splitlines()):
        lowered = line.lower()
        if any(button in lowered for button in buttons):
            return line.strip()[:_MAX_LINE]
    return ""
