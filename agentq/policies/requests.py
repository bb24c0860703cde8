"""What every policy checks about a call before it samples."""

from __future__ import annotations

from collections.abc import Sequence

from agentq.errors import CandidateError, ConfigError
from agentq.types import Messages

#: Stands for any text of at least one character without line breaks in an admissible action.
FREE_TEXT = "<free text>"


def check_request(
    batch: Sequence[Messages],
    n: int,
    seeds: Sequence[int],
    admissible: Sequence[Sequence[str] | None] | None,
) -> list[Sequence[str] | None]:
    """The admissible actions of each state (None: free text).

    Raises ``CandidateError`` for n < 1, lengths that differ, negative seeds, a state without any action.
    """
    if n < 1:
        raise CandidateError(f"n={n}: a policy samples at least one candidate per state. Ask for n >= 1.")
    if len(seeds) != len(batch):
        raise CandidateError(f"{len(seeds)} seeds for {len(batch)} states. Pass one integer seed per state.")
    for position, seed in enumerate(seeds):
        if seed < 0:
            raise CandidateError(f"state {position}: seed {seed} is negative. Use an integer >= 0.")
    if admissible is None:
        return [None] * len(batch)
    if len(admissible) != len(batch):
        raise CandidateError(
            f"{len(admissible)} lists of admissible actions for {len(batch)} states. Pass one per state, "
            "or None for a state with free text."
        )
    for position, actions in enumerate(admissible):
        if actions is not None and len(actions) == 0:
            raise CandidateError(
                f"state {position}: the list of admissible actions is empty, so nothing can be proposed. "
                "Pass None for free text, or end the episode where no action is possible."
            )
    return list(admissible)


def check_sampling(temperature: float, top_p: float, max_new_tokens: int) -> None:
    """Raises ``ConfigError`` for settings under which no server or engine samples."""
    if temperature < 0 or not 0 < top_p <= 1:
        raise ConfigError(
            f"temperature={temperature}, top_p={top_p}; expected a temperature of 0 or above and 0 < top_p <= 1."
        )
    if max_new_tokens < 1:
        raise ConfigError(f"max_new_tokens={max_new_tokens}; expected at least 1 token for an action.")


def check_greedy(temperature: float, n: int) -> None:
    """Raises ``CandidateError`` for several candidates without any randomness."""
    if temperature == 0 and n > 1:
        raise CandidateError(
            f"temperature 0 with n={n}: greedy decoding gives one and the same candidate {n} times. "
            "Use n=1, or a temperature above 0."
        )
