"""Play episodes in lockstep: one policy call and one critic call serve all episodes of an arm that wait for one.

Each decision is seeded by (task, seed, step) alone, so the batch size, the number of workers and the order
of episodes never change a result, and two arms on the same (task, seed) are paired.
"""

from __future__ import annotations

import contextlib
import json
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from agentq.agent import decision_seed
from agentq.errors import ConfigError, EvaluationError
from agentq.types import Decision, FloatArray, Message, Step, Trajectory
from agentq_eval.episodes import Outcome
from agentq_eval.running.deciders import Decider, View
from agentq_eval.running.failures import Failures
from agentq_eval.running.jobs import Ended, Job

#: Up to so many episodes that can begin; with ``wait`` at least one, or none when there will be no more.
Take = Callable[[int, bool], Sequence[Job]]
#: Called with (job, number of the step, env, decision) before a step is taken: to keep snapshots.
Observer = Callable[[Job, int, Any, Decision], None]
#: Tokens that went through models so far; the difference over a batch is shared between its decisions.
Meter = Callable[[], int]

_NOT_LOGGED = ("messages", "admissible_actions")  # of info: they are in the step itself


@dataclass(frozen=True, slots=True)
class LockstepSettings:
    """How episodes are played."""

    slots: int = 64  # episodes at a time
    episode_seconds: float | None = None  # its own steps and its share of batched decisions; None: no limit
    label_gamma: float | None = (
        None  # label all candidates by the environment's exact lookahead; None: do not
    )
    success_score: float | None = None  # success of environments that do not report it themselves
    session: int = 0  # which start of the run this is
    raises: bool = False  # let errors through instead of recording them as the episode's outcome


@dataclass(frozen=True, slots=True)
class Call:
    """What is being computed, for a watchdog."""

    kind: str  # decide, step or reset
    jobs: tuple[Job, ...]
    started: float  # time.monotonic()


@dataclass
class _Running:
    job: Job
    env: Any
    observation: Any = None
    info: dict[str, Any] = field(default_factory=dict[str, Any])
    steps: list[Step] = field(default_factory=list[Step])
    seconds: float = 0.0  # spent on this episode
    shares: dict[str, float] = field(default_factory=dict[str, float])  # of the call that decided


class Lockstep:
    """Plays jobs of several arms; ``deciders`` by arm key. Environments are made once and reused."""

    def __init__(
        self,
        make_env: Callable[[], Any],
        deciders: Mapping[str, Decider],
        settings: LockstepSettings | None = None,
        *,
        failures: Failures | None = None,
        observer: Observer | None = None,
        meter: Meter | None = None,
    ) -> None:
        self.settings = settings or LockstepSettings()
        if self.settings.slots < 1:
            raise ConfigError(f"slots={self.settings.slots}: expected at least 1 episode at a time.")
        self.call: Call | None = None
        self._make_env = make_env
        self._deciders = deciders
        self._failures = failures or Failures()
        self._observer = observer
        self._meter = meter
        self._free: list[Any] = []
        self._running: list[_Running] = []

    def play(self, take: Take) -> Iterator[Ended]:
        """Play all jobs and yield each as it ends."""
        running = self._running
        while True:
            for job in take(self.settings.slots - len(running), not running):
                begun = self._begin(job)
                if isinstance(begun, Ended):
                    yield begun
                else:
                    running.append(begun)
            if not running:
                return
            going: list[_Running] = []
            for current, decision in self._decisions(running):
                ended = self._advance(current, decision)
                if ended is None:
                    going.append(current)
                else:
                    yield ended
            running[:] = going

    def given_up(self, job: Job, error: str) -> Ended | None:
        """The episode as it is now, timed out; None when it is not being played. For a watchdog."""
        for current in self._running:
            if current.job == job:
                return self._record(current, "timed_out", error)
        return None

    def close(self) -> None:
        """Close the environments that are not in an episode."""
        for env in self._free:
            env.close()
        self._free.clear()

    def _begin(self, job: Job) -> _Running | Ended:
        env = None
        self.call = Call("reset", (job,), time.monotonic())
        try:
            env = self._free.pop() if self._free else self._make_env()
            current = _Running(job, env)
            began = time.perf_counter()
            current.observation, current.info = env.reset(
                seed=job.planned.seed, options={"task": job.planned.task}
            )
            current.seconds = time.perf_counter() - began
            return current
        except Exception as error:  # noqa: BLE001 - whatever an environment raises is this episode's outcome
            return self._broken(_Running(job, env), error, "reset")
        finally:
            self.call = None

    def _decisions(self, running: Sequence[_Running]) -> Iterator[tuple[_Running, Decision | Exception]]:
        """The decision of every episode, or why there is none."""
        groups: dict[str, list[_Running]] = {}
        for current in running:
            groups.setdefault(current.job.arm, []).append(current)
        for arm, group in groups.items():
            decisions = self._decide(self._deciders[arm], group)
            yield from zip(group, decisions, strict=True)

    def _decide(self, decider: Decider, group: Sequence[_Running]) -> list[Decision | Exception]:
        self.call = Call("decide", tuple(current.job for current in group), time.monotonic())
        before = self._meter() if self._meter is not None else 0
        began = time.perf_counter()
        try:
            decisions: list[Any] = list(decider.decide([self._view(current) for current in group]))
            if len(decisions) != len(group):
                raise EvaluationError(
                    f"{len(decisions)} decisions for {len(group)} states: expected one each."
                )
        except Exception as error:
            if self.settings.raises:
                raise
            if len(group) == 1 or self._failures.infrastructure(error):
                return [error] * len(group)
            # One state's error must not fail the episodes that only shared the call with it.
            return [self._decide(decider, [current])[0] for current in group]
        finally:
            self.call = None
        seconds = (time.perf_counter() - began) / len(group)
        tokens = (self._meter() - before) / len(group) if self._meter is not None else 0.0
        for current in group:
            current.seconds += seconds
            current.shares = {"decide": seconds, "tokens": tokens}
        return decisions

    def _view(self, current: _Running) -> View:
        planned, admissible = current.job.planned, current.info.get("admissible_actions")
        return View(
            env=current.env,
            messages=_messages(current),
            admissible=tuple(admissible) if admissible is not None else None,
            seed=decision_seed(planned.task, planned.seed, len(current.steps)),
            alive=self._alive,
        )

    def _alive(self) -> None:
        """The call that is made now began anew."""
        if self.call is not None:
            self.call = replace(self.call, started=time.monotonic())

    def _advance(self, current: _Running, decision: Decision | Exception) -> Ended | None:
        """Take the step; what is returned has ended."""
        if isinstance(decision, Exception):
            return self._broken(current, decision, "decide")
        messages = _messages(current)
        self.call = Call("step", (current.job,), time.monotonic())
        try:
            labels = self._labels(current, decision)
            if self._observer is not None:
                self._observer(current.job, len(current.steps), current.env, decision)
            began = time.perf_counter()
            current.observation, reward, terminated, truncated, info = current.env.step(decision.action)
            spent = time.perf_counter() - began
        except Exception as error:  # noqa: BLE001 - as above
            return self._broken(current, error, "step")
        finally:
            self.call = None
        current.info, current.seconds = info, current.seconds + spent
        step = Step(
            messages=messages,
            decision=decision,
            reward=float(reward),
            terminated=bool(terminated),
            truncated=bool(truncated),
            info=self._kept(current, float(reward), bool(terminated), bool(truncated)),
            timings={**current.shares, "env": spent},
            labels=labels,
        )
        current.steps.append(step)
        if terminated or truncated:
            return self._ended(current, "finished")
        limit = self.settings.episode_seconds
        if limit is not None and current.seconds > limit:
            return self._ended(
                current, "timed_out", f"the episode took {current.seconds:.3g} s, its limit is {limit:.3g} s"
            )
        return None

    def _labels(self, current: _Running, decision: Decision) -> FloatArray | None:
        gamma = self.settings.label_gamma
        if gamma is None:
            return None
        actions = [candidate.action for candidate in decision.candidates]
        values = np.full(len(actions), np.nan)
        valid = [i for i, action in enumerate(actions) if action is not None]
        if valid:
            values[valid] = current.env.unwrapped.lookahead([str(actions[i]) for i in valid], gamma)
        return values

    def _kept(self, current: _Running, reward: float, terminated: bool, truncated: bool) -> dict[str, Any]:
        """What the log keeps of info: all that JSON can hold, or what the environment names in ``logged_info``."""
        info = current.info
        names = getattr(current.env.unwrapped, "logged_info", None)
        kept = {
            key: value
            for key, value in info.items()
            if (key in names if names is not None else key not in _NOT_LOGGED and _is_json(value))
        }
        if truncated and not terminated:  # TD needs the state behind a cut
            kept["final_messages"] = list(_messages(current))
        if (terminated or truncated) and "success" not in info and self.settings.success_score is not None:
            score = reward + sum(step.reward for step in current.steps)
            kept["success"] = terminated and score >= self.settings.success_score
        return kept

    def _broken(self, current: _Running, error: Exception, where: str) -> Ended:
        if self.settings.raises:
            raise error
        outcome: Outcome = "infrastructure" if self._failures.infrastructure(error) else "failed"
        place = traceback.extract_tb(error.__traceback__)[-1:]
        line = f" ({place[0].name}, line {place[0].lineno})" if place else ""
        return self._ended(current, outcome, f"{where}: {type(error).__name__}: {error}{line}"[:2000])

    def _ended(self, current: _Running, outcome: Outcome, error: str = "") -> Ended:
        if outcome == "finished":
            self._free.append(current.env)
        elif current.env is not None:  # in the middle of an episode, perhaps broken
            _close(current.env)
        return self._record(current, outcome, error)

    def _record(self, current: _Running, outcome: Outcome, error: str) -> Ended:
        env, planned = current.env, current.job.planned
        metadata = {
            "arm": planned.arm,
            "n": planned.n,
            "outcome": outcome,
            "attempt": current.job.attempt,
            "session": self.settings.session,
            **({"error": error} if error else {}),
        }
        name = _name(env) if env is not None else ""
        return Ended(
            current.job, Trajectory(planned.task, planned.seed, tuple(current.steps), name, metadata)
        )


def _messages(current: _Running) -> tuple[Message, ...]:
    """The prompt that the environment renders; where it renders none, its observation as the user's turn."""
    messages = current.info.get("messages")
    return (
        tuple(messages) if messages is not None else ({"role": "user", "content": str(current.observation)},)
    )


def _name(env: Any) -> str:
    spec = getattr(env, "spec", None)
    return str(spec.id) if spec is not None else type(env.unwrapped).__name__


def _close(env: Any) -> None:
    with contextlib.suppress(Exception):  # it is thrown away because it is broken, and that is recorded
        env.close()


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, default=_plain)
    except (TypeError, ValueError):
        return False
    return True


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()  # pyright: ignore[reportUnknownVariableType]
    raise TypeError(type(value).__name__)
