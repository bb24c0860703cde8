"""The guide of a wrapped agent: values the candidates, chooses, keeps what happened, and never gets in the way."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from agentq.chooser import Chooser
from agentq.critics.base import Critic
from agentq.errors import ConfigError, SelectorError
from agentq.policies.openai.candidates import plain_messages
from agentq.policies.parsing import ActionParser
from agentq.selectors.base import Selector
from agentq.types import Candidate, Decision, Messages, Trajectory
from agentq.verification import RESAMPLE_FAILED
from agentq.wrapping.asking import FEWER, Replies
from agentq.wrapping.session import TrajectoryLog, current_session

OnCriticError: TypeAlias = Literal["first", "raise"]

#: Flags of decisions.
CRITIC_ERROR = "critic_error"  # the critic failed: the first candidate went through
SELECTOR_ERROR = "selector_error"  # the selector failed: the first candidate went through
NO_VALID_CANDIDATE = "no_valid_candidate"  # nothing to choose among: the first candidate went through


class GuidanceWarning(UserWarning):
    """A wrapped agent runs on, but not guided as it should be; shown once per wrapped agent and cause."""


@dataclass(slots=True)
class GuideStatistics:
    """What a guide has done; the counts only grow."""

    decisions: int = 0
    candidates: int = 0  # replies of the agent, before equal ones are merged
    critic_errors: int = 0  # the critic or the selector failed
    all_invalid: int = 0  # decisions without a valid candidate
    incomplete: int = 0  # decisions with fewer candidates than asked for
    resampled: int = 0  # second rounds, after checks refused the whole first
    unguided: int = 0  # calls passed through because the caller chooses or sampling is greedy
    seconds: float = 0.0  # in the critic and the selector
    last_error: str = ""


@dataclass(frozen=True)
class Choice:
    """Which of the agent's replies goes through."""

    index: int  # into the replies as they came
    decision: Decision  # over the distinct candidates


@dataclass(eq=False)  # sessions find their guide by identity
class Guide:
    """What ``agentq.wrap`` puts behind an agent; its options are explained there.

    All wrapped forms of one agent (with tools bound, with other client options) share one guide. Scoring is
    serialised by a lock; the asynchronous form scores in a thread, so that the event loop goes on.
    """

    chooser: Chooser
    n: int = 8
    parser: ActionParser | None = None
    state: Callable[[Messages], Messages] | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    parallel: int = 1
    seed: int = 0
    on_decision: Callable[[Decision], None] | None = None
    on_critic_error: OnCriticError = "first"
    log: TrajectoryLog | None = None
    keep: int = 100
    statistics: GuideStatistics = field(default_factory=GuideStatistics)

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ConfigError(f"n={self.n}; expected at least 1 candidate. 8 is a good start.")
        if self.parallel < 1:
            raise ConfigError(f"parallel={self.parallel}; expected a number of threads, 1 for no threads.")
        if self.on_critic_error not in ("first", "raise"):
            raise ConfigError(f"on_critic_error={self.on_critic_error!r}; expected 'first' or 'raise'.")
        if self.critic is not None and not isinstance(self.critic, Critic):
            raise ConfigError(
                f"critic is a {type(self.critic).__name__}, which has no score and score_heads. Pass a critic "
                "such as QCritic.from_pretrained(folder), or its folder or name as text."
            )
        if not isinstance(self.chooser.selector, Selector):
            raise ConfigError(
                f"selector is a {type(self.chooser.selector).__name__}, which has no name and select. Pass a "
                "selector such as BestOfN(), or its name as text."
            )
        self.decisions: deque[Decision] = deque(maxlen=self.keep)
        self._lock = threading.Lock()
        self._warned: set[str] = set()

    @property
    def critic(self) -> Critic | None:
        """What values the candidates."""
        return self.chooser.critic

    def wanted(self, temperature: float | None) -> int:
        """How many candidates to ask for; 1 with a warning where greedy sampling would repeat itself."""
        if temperature != 0 or self.n == 1:
            return self.n
        self.warn(
            "greedy",
            f"temperature 0: all {self.n} candidates would be the same, so the agent is asked once and nothing "
            "is chosen. Let candidates differ: agentq.wrap(..., sampling={'temperature': 0.7}).",
        )
        self.statistics.unguided += 1
        return 1

    def choose(self, messages: Messages, candidates: Sequence[Candidate], replies: Replies[Any]) -> Choice:
        """Which reply goes through, one candidate per reply; kept, logged and told to ``on_decision``.

        Raises what the critic or the selector raises, with ``on_critic_error="raise"`` alone.
        """
        shown = self._shown(messages)
        decision, seconds = self._decide(shown, candidates, replies.flags)
        return self._record(shown, candidates, decision, {"candidates": replies.seconds, "choice": seconds})

    def note(self, messages: Messages, candidates: Sequence[Candidate]) -> str | None:
        """What to add to the prompt when the agent is to be asked once more; None: it is not."""
        try:
            note = self.chooser.note(self._shown(messages), candidates)
        # Whatever a check raises: ``choose`` meets it again and tells of it.
        except Exception:  # noqa: BLE001
            return None
        self.statistics.resampled += note is not None
        return note

    def failed_round(self, error: Exception) -> None:
        """A second round could not be asked for: told, and the first one stands."""
        self.statistics.last_error = f"{type(error).__name__}: {error}"
        self.warn(
            RESAMPLE_FAILED,
            f"all candidates were refused and asking once more failed ({self.statistics.last_error}); the first "
            "candidate went through. Later failures are only flagged in decisions.",
        )

    async def choose_async(
        self, messages: Messages, candidates: Sequence[Candidate], replies: Replies[Any]
    ) -> Choice:
        """``choose`` with the scoring in a thread."""
        shown = self._shown(messages)
        decision, seconds = await asyncio.to_thread(self._decide, shown, candidates, replies.flags)
        return self._record(shown, candidates, decision, {"candidates": replies.seconds, "choice": seconds})

    def write(self, trajectory: Trajectory, episode: str | None) -> str | None:
        """Append a finished episode to the log, one at a time; its id, None without a log."""
        if self.log is None:
            return episode
        with self._lock:
            return self.log.write(trajectory, episode)

    def warn(self, cause: str, text: str) -> None:
        """Warn once per cause."""
        if cause not in self._warned:
            self._warned.add(cause)
            warnings.warn(text, GuidanceWarning, stacklevel=3)

    def _shown(self, messages: Messages) -> Messages:
        return plain_messages(messages if self.state is None else self.state(messages))

    def _decide(
        self, messages: Messages, candidates: Sequence[Candidate], flags: tuple[str, ...]
    ) -> tuple[Decision, float]:
        distinct = merged(candidates)
        started = time.perf_counter()
        try:
            with self._lock:
                (decision,) = self.chooser.choose([messages], [distinct], [state_seed(messages, self.seed)])
        # Any critic and any selector may stand here, those of other packages too: whatever they raise must
        # not stop an agent that works without them.
        except Exception as error:
            if self.on_critic_error == "raise":
                raise
            flag = SELECTOR_ERROR if isinstance(error, SelectorError) else CRITIC_ERROR
            decision = self._fallen_back(distinct, flag, error)
        if not any(candidate.valid for candidate in candidates):
            flags = (*flags, NO_VALID_CANDIDATE)
        return replace(decision, flags=(*decision.flags, *flags)), time.perf_counter() - started

    def _fallen_back(self, candidates: Sequence[Candidate], flag: str, error: Exception) -> Decision:
        self.statistics.critic_errors += 1
        self.statistics.last_error = f"{type(error).__name__}: {error}"
        self.warn(
            flag,
            f"the {'critic' if flag == CRITIC_ERROR else 'selector'} failed and the first candidate went "
            f"through ({self.statistics.last_error}). Later failures are only counted in "
            "guide.statistics.critic_errors and flagged in decisions; on_critic_error='raise' stops instead.",
        )
        values = np.array([0.0 if candidate.valid else -np.inf for candidate in candidates])
        first = next((i for i, candidate in enumerate(candidates) if candidate.valid), 0)
        certain = np.eye(1, len(candidates), first)[0]
        return Decision(tuple(candidates), values, certain, first, selector="fallback", flags=(flag,))

    def _record(
        self,
        messages: Messages,
        candidates: Sequence[Candidate],
        decision: Decision,
        timings: Mapping[str, float],
    ) -> Choice:
        # By place, since a decision may hold changed candidates: those that a check refused.
        chosen = merged(candidates)[decision.index]
        index = next(i for i, candidate in enumerate(candidates) if same(candidate, chosen))
        count = self.statistics
        count.decisions += 1
        count.candidates += len(candidates)
        count.all_invalid += NO_VALID_CANDIDATE in decision.flags
        count.incomplete += FEWER in decision.flags
        count.seconds += timings["choice"]
        self.decisions.append(decision)
        if (session := current_session(self)) is not None:
            session.append(messages, decision, timings)
        if self.on_decision is not None:
            self.on_decision(decision)
        return Choice(index, decision)


def same(one: Candidate, other: Candidate) -> bool:
    """Whether two replies are one candidate: the same action, or the same text where neither parses."""
    if one.action is None or other.action is None:
        return one.action == other.action and one.text == other.text
    return one.action == other.action


def merged(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Distinct candidates in order of first occurrence, ``count`` summed.

    Actions are compared letter by letter: in code and prose, case and spaces matter.
    """
    kept: dict[tuple[bool, str], Candidate] = {}
    for candidate in candidates:
        key = (candidate.valid, candidate.text if candidate.action is None else candidate.action)
        first = kept.get(key)
        kept[key] = candidate if first is None else replace(first, count=first.count + candidate.count)
    return list(kept.values())


def state_seed(messages: Messages, seed: int) -> int:
    """The seed of the choice in a state: the same for the same messages, on any machine and in any order."""
    text = json.dumps([seed, [dict(message) for message in messages]], sort_keys=True, default=str)
    return int.from_bytes(hashlib.blake2b(text.encode(errors="replace"), digest_size=8).digest(), "big") >> 1
