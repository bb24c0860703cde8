"""The newest decisions, kept for the page."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Any

KEPT = 200
_SHOWN = 4000  # characters of a message


class LiveDecisions:
    """A ring of the newest decisions as plain JSON values; ``content`` keeps their messages, too."""

    def __init__(self, content: bool, kept: int = KEPT) -> None:
        self.content = content
        self.total = 0
        self._ring: deque[dict[str, Any]] = deque(maxlen=kept)

    def add(self, metadata: Mapping[str, Any], messages: Any) -> None:
        """Keep a decision's metadata; the oldest one makes room."""
        self.total += 1
        row: dict[str, Any] = {"number": self.total, "time": time.time(), **metadata}
        row["candidates"] = [
            {name: value for name, value in candidate.items() if name != "text" or self.content}
            for candidate in metadata["candidates"]
        ]
        if self.content and messages is not None:
            row["messages"] = [
                {"role": message["role"], "content": message["content"][:_SHOWN]} for message in messages
            ]
        self._ring.append(row)

    def since(self, number: int) -> list[dict[str, Any]]:
        """Decisions after ``number``, oldest first."""
        return [row for row in self._ring if row["number"] > number]
