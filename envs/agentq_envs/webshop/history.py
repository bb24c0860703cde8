"""Earlier observations and actions that an environment repeats in front of the current observation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentq_envs.webshop.pages import SEPARATOR


@dataclass(frozen=True, slots=True)
class History:
    """The last observations (the current one included) and actions, oldest first."""

    num_observations: int = 0  # earlier observations to repeat
    num_actions: int = 0
    observations: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()

    def begun(self, observation: str) -> History:
        """The history of a new episode."""
        return History(self.num_observations, self.num_actions, (observation,))

    def after(self, action: str, observation: str) -> History:
        """The history after one more step."""
        observations = (*_last(self.observations, self.num_observations), observation)
        actions = _last((*self.actions, action), self.num_actions)
        return History(self.num_observations, self.num_actions, observations, actions)

    def text(self) -> str:
        """Joined by " [SEP] ": ..., observation -2, action -2, observation -1, action -1, current."""
        pieces = [self.observations[-1]]
        for i in range(1, 1 + max(self.num_observations, self.num_actions)):
            if i <= len(self.actions):
                pieces.append(self.actions[-i])
            if i < len(self.observations):
                pieces.append(self.observations[-1 - i])
        return SEPARATOR.join(reversed(pieces))


def _last(texts: Sequence[str], count: int) -> tuple[str, ...]:
    return tuple(texts[-count:]) if count else ()
