"""An episode of a wrapped agent: its decisions, the rewards that arrive for them, and the log."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from agentq.errors import LogError
from agentq.types import Decision, Messages, Step, Trajectory

if TYPE_CHECKING:
    from agentq.wrapping.guide import Guide


class TrajectoryLog(Protocol):
    """Where finished episodes go; ``agentq.trajectories.TrajectoryWriter`` is one."""

    def write(self, trajectory: Trajectory, episode: str | None = None) -> str:
        """Append one episode and return its id."""
        ...


#: Open sessions of this thread or task, innermost last: concurrent episodes of one agent stay apart.
_OPEN: ContextVar[tuple[Session, ...]] = ContextVar("agentq_open_sessions", default=())


class Session:
    """One episode, used as a context manager; every decision made inside it is a step of it.

    Decisions are assigned by context: those of the same thread or asyncio task, and of tasks started inside
    the block. At the end of the block the episode is written to the log (with none: kept in ``trajectory``):
    terminated, or truncated when ``truncate`` was called or an exception left the block. An episode without
    a decision is not written.
    """

    def __init__(
        self,
        guide: Guide,
        task: str,
        seed: int = 0,
        *,
        environment: str = "",
        metadata: Mapping[str, Any] | None = None,
        episode: str | None = None,
    ) -> None:
        self.guide = guide
        self.task = task
        self.seed = seed
        self.environment = environment
        self.metadata: dict[str, Any] = dict(metadata or {})
        self.episode = episode  # the id in the log; None: the log's next number, known after the block
        self._steps: list[Step] = []
        self._truncated = False

    @property
    def steps(self) -> tuple[Step, ...]:
        """The decisions so far, each with the rewards that have arrived for it."""
        return tuple(self._steps)

    @property
    def trajectory(self) -> Trajectory:
        """The episode as the log gets it."""
        return Trajectory(self.task, self.seed, self.steps, self.environment, self.metadata)

    def reward(self, value: float, *, step: int = -1, info: Mapping[str, Any] | None = None) -> None:
        """Add ``value`` to the reward of a step (default: the last one) and ``info`` to what it keeps.

        Raises ``LogError`` when there is no such step.
        """
        if not -len(self._steps) <= step < len(self._steps):
            raise LogError(
                f"session {self.task!r}: a reward for step {step}, but the agent has made {len(self._steps)} "
                "decisions in it. Reward after the agent has answered, and call it in the thread or task that "
                "opened the session."
            )
        had = self._steps[step]
        self._steps[step] = replace(had, reward=had.reward + float(value), info={**had.info, **(info or {})})

    def truncate(self) -> None:
        """The episode is cut off rather than over: its last state has a future that nobody saw."""
        self._truncated = True

    def append(self, messages: Messages, decision: Decision, timings: Mapping[str, float]) -> None:
        """Add a decision; the guide calls this."""
        self._steps.append(Step(tuple(messages), decision, 0.0, False, False, timings=dict(timings)))

    def __enter__(self) -> Self:
        _OPEN.set((*_OPEN.get(), self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # By identity, not by token: an asynchronous generator may leave the block in another context.
        _OPEN.set(tuple(session for session in _OPEN.get() if session is not self))
        if not self._steps:
            return
        if error is not None:
            self.metadata["error"] = f"{type(error).__name__}: {error}"
        truncated = self._truncated or error is not None
        self._steps[-1] = replace(self._steps[-1], terminated=not truncated, truncated=truncated)
        self.episode = self.guide.write(self.trajectory, self.episode)


def current_session(guide: Guide) -> Session | None:
    """The innermost open session of ``guide`` in this context."""
    return next((session for session in reversed(_OPEN.get()) if session.guide is guide), None)
