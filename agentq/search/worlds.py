"""What a search needs of an environment: a root state, and what an action makes of a state.

``EnvironmentWorld`` makes that of a Gymnasium environment whose info holds ``messages``: by ``snapshot()`` and
``restore()`` where it has them, else by replaying the actions from a reset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from agentq.errors import ConfigError
from agentq.types import Messages


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """A state of a task, as far as a search is concerned; ``handle`` is the world's own."""

    messages: Messages = ()
    admissible: tuple[str, ...] | None = None
    observation: str = ""
    reward: float = 0.0  # of the action that led here
    ended: bool = False  # terminated or truncated: nothing can be done here
    legal: bool = True  # whether the environment accepted the action that led here
    actions: tuple[str, ...] = ()  # from the start of the task
    info: Mapping[str, Any] = field(default_factory=dict[str, Any])  # JSON, e.g. success
    handle: Any = None


class World(Protocol):
    """Deterministic: the same action in the same state leads to the same state."""

    def root(self, task: str, seed: int) -> State:
        """The state in which a task begins."""
        ...

    def step(self, state: State, action: str) -> State:
        """The state behind an action."""
        ...


class SearchEnvironment(Protocol):
    """The part of a Gymnasium environment that is used; ``snapshot`` and ``restore`` are optional."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin the task ``options["task"]``."""
        ...

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take an action."""
        ...


class EnvironmentWorld:
    """A world over one environment, which any number of trees may share: every step puts it where it must be.

    ``replay`` forces replaying (default: only where the environment has no ``snapshot``).
    Raises ``ConfigError`` when a replay meets another observation than the first time.
    """

    def __init__(self, env: Any, *, replay: bool | None = None) -> None:
        base: Any = getattr(env, "unwrapped", env)
        can = callable(getattr(base, "snapshot", None)) and callable(getattr(base, "restore", None))
        self._replays = not can if replay is None else replay
        if not self._replays and not can:
            raise ConfigError(
                f"{type(base).__name__} has no snapshot() and restore(), so its states cannot be copied. "
                "Leave replay out: states are then reached again by their actions."
            )
        # Wrappers may count steps; a snapshot is of the environment itself and must not mix with them.
        self._env: Any = env if self._replays else base
        self._at: State | None = None
        self._logged: tuple[str, ...] = tuple(getattr(base, "logged_info", ("success",)))

    def root(self, task: str, seed: int) -> State:
        """As in ``World``; ``task`` "" lets the environment draw one by the seed."""
        observation, info = self._reset(task, seed)
        return self._state(observation, info, (), (task, seed), 0.0, False)

    def here(self, messages: Messages, admissible: Sequence[str] | None) -> State:
        """The state that the environment is in now, as a root to plan from; ``back_to`` returns to it.

        Raises ``ConfigError`` where states are replayed: how it was reached is not known here.
        """
        if self._replays:
            raise ConfigError(
                f"{type(self._env).__name__} has no snapshot() and restore(), which planning inside an episode needs."
            )
        allowed = tuple(admissible) if admissible is not None else None
        self._at = State(tuple(messages), allowed, handle=("", 0, self._env.snapshot()))
        return self._at

    def back_to(self, state: State) -> None:
        """Put the environment into a state."""
        if self._at is not state:
            self._go(state)
            self._at = state

    def step(self, state: State, action: str) -> State:
        """As in ``World``."""
        if self._at is not state:
            self._go(state)
        observation, reward, terminated, truncated, info = self._env.step(action)
        start = state.handle[:2]
        return self._state(
            observation, info, (*state.actions, action), start, float(reward), bool(terminated or truncated)
        )

    def _reset(self, task: str, seed: int) -> tuple[Any, dict[str, Any]]:
        return self._env.reset(seed=seed, options={"task": task} if task else {})

    def _go(self, state: State) -> None:
        if not self._replays:
            self._env.restore(state.handle[2])
            return
        observation, _ = self._reset(*state.handle[:2])
        for action in state.actions:
            observation, *_ = self._env.step(action)
        if str(observation) != state.observation:
            raise ConfigError(
                f"task {state.handle[0]!r}: replaying {len(state.actions)} actions led to another observation than "
                "before. A search needs an environment that is deterministic per (task, seed); give it "
                "snapshot() and restore()."
            )

    def _state(
        self,
        observation: Any,
        info: dict[str, Any],
        actions: tuple[str, ...],
        start: tuple[str, int],
        reward: float,
        ended: bool,
    ) -> State:
        text = str(observation)
        messages = info.get("messages")
        admissible = info.get("admissible_actions")
        state = State(
            messages=tuple(messages) if messages is not None else ({"role": "user", "content": text},),
            admissible=tuple(admissible) if admissible and not ended else None,
            observation=text,
            reward=reward,
            ended=ended,
            legal=bool(info.get("legal", True)),
            actions=actions,
            info={name: info[name] for name in self._logged if name in info},
            handle=(*start, None if self._replays or ended else self._env.snapshot()),
        )
        self._at = state
        return state
