"""Whether an action obeys the grammar of an environment or of an interface."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agentq.errors import ConfigError
from agentq.policies.parsing import ActionParser
from agentq.verification.base import Situation


@dataclass(frozen=True)
class Grammar:
    """Refuses what ``parser`` does not read; for policies that were made without the environment's parser.

    A text is a regular expression that the whole action must match. Raises ``ConfigError`` if it is none.
    """

    parser: ActionParser | str
    name = "grammar"

    def __post_init__(self) -> None:
        if isinstance(self.parser, str):
            try:
                re.compile(self.parser)
            except re.error as error:
                raise ConfigError(
                    f"parser={self.parser!r} is no regular expression ({error}); expected one that whole actions match."
                ) from error

    def reason(self, action: str, situation: Situation) -> str | None:
        """Repeats the start of the action."""
        if isinstance(self.parser, str):
            read = re.fullmatch(self.parser, action) is not None
        else:
            read = self.parser(action) is not None
        return None if read else f"{action[:60]!r} is no action of this environment"
