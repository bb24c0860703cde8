"""Logged episodes of players of mixed quality: what policies imitate and critics learn from.

A step keeps the prompt and the action taken, and on request more draws of the same player (to imitate a
distribution rather than one sample) and other actions of the state with their values from a snapshot, so
that imitation, representation tuning and critics can all be trained from one pass over the simulator.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentq.types import Message


@dataclass(frozen=True, slots=True)
class Alternative:
    """An action of a state, what follows it, and its value."""

    action: str
    value: float  # discounted return when the rest is played as well as possible, 0..1
    page: str  # kind of the page that follows; "": the environment has no kinds
    text: str  # prompt of the state that follows
    changed: bool  # whether the action changed anything


@dataclass(frozen=True, slots=True)
class DemonstrationStep:
    """One logged step."""

    messages: tuple[Message, ...]
    action: str  # what the player did
    draws: tuple[str, ...]  # the action, and what the same player might have done as well
    alternatives: tuple[Alternative, ...]  # distinct actions, the one taken first; empty: none were tried


@dataclass(frozen=True, slots=True)
class Demonstration:
    """One logged episode."""

    task: str
    score: float
    success: bool
    steps: tuple[DemonstrationStep, ...]


@dataclass(frozen=True, slots=True)
class DemonstrationSettings:
    """What a demonstration holds beside the actions taken."""

    draws: int = 1  # of the same player per state
    alternatives: int = 0  # distinct actions valued per state, the one taken among them
    keep: float = 1.0  # share of the steps that is kept, drawn at random: more different goals
    most_steps: int | None = None  # stop an episode after so many
    gamma: float = 0.9  # discount of values per step
