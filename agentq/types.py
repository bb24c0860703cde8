"""The values that policies, critics, selectors and the log hand to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

#: One chat message: ``{"role": ..., "content": text or list of text/image parts}``.
Message: TypeAlias = Mapping[str, Any]
Messages: TypeAlias = Sequence[Message]
FloatArray: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One action that a policy proposes for a state.

    ``token_ids`` are the sampled ids (text is a view of them); ``token_logprobs`` are natural-log
    probabilities under the distribution that was sampled from, one per token id.
    """

    text: str  # as sampled, untouched
    action: str | None  # parsed action; None when the text does not parse
    error: str | None = None  # why it did not parse
    token_ids: tuple[int, ...] = ()
    token_logprobs: tuple[float, ...] = ()
    count: int = 1  # how many of the n samples were this action

    @property
    def logprob(self) -> float | None:
        """Sum of ``token_logprobs`` in nats; None when the policy kept none."""
        return float(sum(self.token_logprobs)) if self.token_logprobs else None

    @property
    def valid(self) -> bool:
        """Whether the text parsed into an action."""
        return self.action is not None


@dataclass(frozen=True, slots=True)
class Decision:
    """What was proposed, what it was worth and what was chosen, enough to replay the choice."""

    candidates: tuple[Candidate, ...]  # (N,)
    q: FloatArray  # (N,) aggregated values; -inf for an invalid candidate
    probabilities: FloatArray  # (N,) the selector's distribution
    index: int  # the chosen candidate
    draw: float | None = None  # the uniform number in [0, 1) behind the choice; None: no draw
    head_q: FloatArray | None = None  # (K, N) per head
    selector: str = ""
    flags: tuple[str, ...] = ()
    support: FloatArray | None = None  # (N,) see agentq.critics.base.Scores
    selector_options: Mapping[str, Any] | None = None  # as for load_selector; None: not known

    @property
    def chosen(self) -> Candidate:
        """The chosen candidate."""
        return self.candidates[self.index]

    @property
    def action(self) -> str:
        """The chosen action: the parsed form, or the raw text when it does not parse."""
        return self.chosen.action if self.chosen.action is not None else self.chosen.text


@dataclass(frozen=True, slots=True)
class Step:
    """One logged step: the state as messages, the decision made in it and what came back."""

    messages: tuple[Message, ...]
    decision: Decision
    reward: float
    terminated: bool
    truncated: bool
    info: Mapping[str, Any] = field(default_factory=dict[str, Any])  # JSON-serialisable, e.g. reward parts
    timings: Mapping[str, float] = field(default_factory=dict[str, float])  # seconds by stage
    #: Monte-Carlo labels of the candidates from snapshot continuations, (N,), NaN: not labelled.
    labels: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One episode: its task, seed, steps, and the versions that produced it."""

    task: str
    seed: int
    steps: tuple[Step, ...]
    environment: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def score(self) -> float:
        """Sum of the rewards of all steps (undiscounted)."""
        return float(sum(step.reward for step in self.steps))

    @property
    def success(self) -> bool:
        """Whether the environment reported success (``info["success"]``) at any step."""
        return any(bool(step.info.get("success", False)) for step in self.steps)
