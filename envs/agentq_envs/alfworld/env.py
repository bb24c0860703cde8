"""The Gymnasium environment ``agentq/ALFWorld-v0``."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import gymnasium
import numpy as np

from agentq.errors import ActionError, ConfigError
from agentq_data.alfworld.game_file import GameFile
from agentq_envs.alfworld.commands import possible
from agentq_envs.alfworld.game import Game, State
from agentq_envs.alfworld.games import Games, Library, shared_library
from agentq_envs.alfworld.lookahead import GAMMA, action_values, conditions
from agentq_envs.alfworld.notes import Notes, first_notes
from agentq_envs.alfworld.panels import Panel, load_panel
from agentq_envs.alfworld.planner import Planner
from agentq_envs.alfworld.players import EnginePlayer, EngineProcess, NativePlayer, Player
from agentq_envs.alfworld.searcher import CAREFUL, Searcher
from agentq_envs.alfworld.simulator import Simulator, Turn
from agentq_envs.prompts import Prompt, resolve_prompt
from agentq_envs.text_actions import AnyText, checked_text

DEFAULT_MAX_STEPS = 50
Backend = Literal["native", "textworld"]
Thoughts = Literal["off", "count", "free"]
_OLD_WORDING = re.compile(r"\s*put (.+?) (?:in/on|in|on) (.+?)\s*")
_THOUGHT = re.compile(r"\s*think\s*:", re.IGNORECASE)
_THOUGHT_ANSWER = "OK."


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of an episode; picklable, valid in any environment on the same games."""

    task: str
    actions: tuple[str, ...]
    observations: tuple[str, ...]
    commands: tuple[str, ...]  # what was sent to the game
    state: State | None  # of the native simulator
    turn: Turn
    notes: Notes
    thoughts: int
    ended: bool
    truncated: bool


class CommandText(AnyText):
    """Every text; a sample is one of the commands that every state allows."""

    def sample(self, mask: Any | None = None, probability: Any | None = None) -> str:
        """One of three commands; masks have no meaning here and are ignored."""
        return ("look", "inventory", "help")[int(self.np_random.integers(3))]


class AlfworldEnv(gymnasium.Env[str, str]):
    """Household tasks as text: go, open, take, move, clean, heat, cool, use, slice, examine.

    The reward is 1 for the command that reaches the goal, which ends the episode, else 0. After ``max_steps``
    actions the episode is truncated. Everything is deterministic per task.
    """

    #: What a log keeps of info.
    logged_info = ("success", "reward", "task_type", "legal")
    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012 - Gymnasium's own declaration

    def __init__(
        self,
        games: str | Path | Games | None = None,  # "official", a folder, a game file; None: generated games
        *,
        library: Library | None = None,  # instead of games: share this one
        games_seed: int = 0,  # of the generated games
        backend: Backend = "native",  # "textworld": the stock engine in a process of its own
        max_steps: int | None = DEFAULT_MAX_STEPS,  # None: no limit
        old_wording: bool = False,  # accept "put O in/on R" for "move O to R", as before alfworld 0.4
        thoughts: Thoughts = "off",  # "think: ..." is answered "OK."; whether it counts as a step
        prompt: str | Prompt | None = None,  # renders info["messages"]; a name of .prompt; None: compact
        render_mode: str | None = None,
    ) -> None:
        for name, value, allowed in (
            ("backend", backend, ("native", "textworld")),
            ("thoughts", thoughts, ("off", "count", "free")),
        ):
            if value not in allowed:
                raise ConfigError(f"{name} {value!r} is unknown, expected one of {', '.join(allowed)}.")
        if max_steps is not None and max_steps < 1:
            raise ConfigError(f"max_steps is {max_steps}, expected at least 1, or None for no limit.")
        self.library = library or shared_library(games, games_seed)
        self.backend: Backend = backend
        self.max_steps = max_steps
        self.old_wording = old_wording
        self.thoughts: Thoughts = thoughts
        self.prompt = resolve_prompt(prompt, "agentq_envs.alfworld")
        self.render_mode = render_mode
        self.action_space = CommandText()
        self.observation_space = CommandText()
        self._engine: EngineProcess | None = None
        self._file: GameFile | None = None
        self._task = ""
        self._player: Player | None = None
        self._turn = Turn("", (), won=False)
        self._notes = Notes()
        self._actions: tuple[str, ...] = ()
        self._observations: tuple[str, ...] = ()
        self._commands: tuple[str, ...] = ()
        self._free_thoughts = 0
        self._ended = self._truncated = False
        self._planner: Planner | None = None

    @property
    def file(self) -> GameFile:
        """The game file of the episode (privileged). Raises ActionError before the first reset."""
        if self._file is None:
            raise ActionError("the episode has not begun: call reset() before step(), snapshot() or file.")
        return self._file

    @property
    def game(self) -> Game:
        """The game as the native simulator sees it (privileged). Raises DataError for rules unknown to it."""
        if isinstance(self._player, NativePlayer):
            return self._player.simulator.game
        return self.library.game(self.file)

    @property
    def state(self) -> State:
        """The hidden state (privileged); with the stock engine it is played anew by the simulator."""
        if isinstance(self._player, NativePlayer):
            return self._player.simulator.state
        follower = NativePlayer(Simulator(self.game))
        follower.resume(self._commands, None)
        return follower.simulator.state

    @property
    def task(self) -> str:
        """The task id of the episode."""
        return self._task

    @property
    def task_type(self) -> str:
        """Which of the six task types the episode has."""
        return self.file.task_type

    @property
    def notes(self) -> Notes:
        """What was seen in this episode."""
        return self._notes

    @property
    def observation(self) -> str:
        """The last observation."""
        return self._observations[-1]

    @property
    def observations(self) -> tuple[str, ...]:
        """All observations of this episode, the introduction first."""
        return self._observations

    @property
    def actions(self) -> tuple[str, ...]:
        """The actions of this episode, oldest first."""
        return self._actions

    @property
    def admissible(self) -> tuple[str, ...]:
        """The commands that the game allows now, sorted."""
        return self._turn.admissible

    @property
    def steps(self) -> int:
        """Actions that count against the limit."""
        return len(self._actions) - self._free_thoughts

    @property
    def steps_left(self) -> int:
        """Actions left before the episode is truncated; without a limit a thousand."""
        return 1000 if self.max_steps is None else self.max_steps - self.steps

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin an episode.

        ``options["task"]`` is a task id, ``options["index"]`` a position in the games; without either the seed
        draws the game. Raises TaskError for an unknown task.
        """
        if seed is not None and (not isinstance(seed, int | np.integer) or seed < 0):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"the seed is {seed!r}, expected an int of at least 0.")
        super().reset(seed=None if seed is None else int(seed))
        file = self._chosen(seed, options or {})
        self._begin(file)
        self._turn = self._playing.reset()
        self._notes = first_notes(self._turn.observation)
        self._actions = self._commands = ()
        self._observations = (self._turn.observation,)
        self._free_thoughts = 0
        self._ended = self._truncated = False
        return self._turn.observation, self._info()

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take an action; any text is accepted, illegal ones change nothing but count as a step.

        After the end of the episode nothing changes any more. Raises ActionError for an action that is no
        text, or before the first reset.
        """
        action = checked_text(action, "'go to desk 1'")
        player = self._playing
        if self._ended:
            info = {**self._info(), "legal": False}
            return self.observation, 0.0, not self._truncated, self._truncated, info
        if self._is_thought(action):
            self._turn = Turn(_THOUGHT_ANSWER, self._turn.admissible, self._turn.won)
            free = self.thoughts == "free" and self._free_thoughts < (self.max_steps or DEFAULT_MAX_STEPS)
            self._free_thoughts += free
        else:
            command = self._worded(action)
            self._turn = player.step(command)
            self._commands = (*self._commands, command)
            self._notes = self._notes.after(self._turn.observation)
        self._actions = (*self._actions, action)
        self._observations = (*self._observations, self._turn.observation)
        terminated = self._turn.won
        self._truncated = not terminated and self.max_steps is not None and self.steps >= self.max_steps
        self._ended = terminated or self._truncated
        reward = 1.0 if terminated else 0.0
        info = self._info()
        if self._ended:
            info["reward"] = self._breakdown(reward)
        return self.observation, reward, terminated, self._truncated, info

    def snapshot(self) -> Snapshot:
        """The state of the episode, to be taken up by ``restore`` here or in another process."""
        native = self._player if isinstance(self._player, NativePlayer) else None
        return Snapshot(
            task=self.file.task_id,
            actions=self._actions,
            observations=self._observations,
            commands=self._commands,
            state=None if native is None else native.simulator.state,
            turn=self._turn,
            notes=self._notes,
            thoughts=self._free_thoughts,
            ended=self._ended,
            truncated=self._truncated,
        )

    def restore(self, snapshot: Snapshot) -> tuple[str, dict[str, Any]]:
        """Take up a stored state; returns observation and info as they were.

        The stock engine plays the commands again. Raises TaskError when these games do not have the task.
        """
        if snapshot.task != self._task or self._player is None:
            self._begin(self.library.file(snapshot.task))
        self._playing.resume(snapshot.commands, snapshot.state)
        self._turn, self._notes = snapshot.turn, snapshot.notes
        self._actions, self._observations = snapshot.actions, snapshot.observations
        self._commands, self._free_thoughts = snapshot.commands, snapshot.thoughts
        self._ended, self._truncated = snapshot.ended, snapshot.truncated
        return self.observation, self._info()

    def panel(self, name: str) -> Panel:
        """The panel of that name, checked against these games. Raises TaskError otherwise."""
        return load_panel(name, self.library)

    def provenance(self) -> dict[str, Any]:
        """What moves a score besides the actions; JSON."""
        return {
            "games": self.library.games.name,
            "backend": self.backend,
            "max_steps": self.max_steps,
            "old_wording": self.old_wording,
            "thoughts": self.thoughts,
        }

    def lookahead(self, actions: Sequence[str], gamma: float = GAMMA) -> list[float]:
        """Value of each action when the rest is played as well as possible (privileged: hidden state).

        Exact, discounted with ``gamma`` per step, limited to the steps that are left; 0 after the end. The
        state of the episode is not changed.
        """
        if self._ended:
            return [0.0] * len(actions)
        state = self.state
        allowed = possible(self.game, state)
        known = [None if self._is_thought(a) else allowed.get(self._worded(a).strip()) for a in actions]
        return action_values(self._planning, state, known, self.steps_left, gamma)

    def expert_plan(self) -> tuple[str, ...] | None:
        """A shortest list of commands to the goal (privileged); None when the goal cannot be reached."""
        return self._planning.commands(self.state)

    def expert_action(self) -> str:
        """The first command of a shortest plan (privileged); "look" where there is none."""
        return next(iter(self.expert_plan() or ()), "look")

    def player_action(self) -> str:
        """What a careful player does who sees what an agent sees: looks where the thing usually is."""
        player = Searcher(CAREFUL, random.Random(f"{self._task} {self.steps}"), len(self.file.task_id))
        return player.act(self.notes, self.admissible, self.actions[-3:])

    def render(self) -> str:  # type: ignore[override]
        """The last observation."""
        return self.observation

    def close(self) -> None:
        """End the process of the stock engine, if there is one."""
        if self._engine is not None:
            self._engine.close()
            self._engine = self._player = None

    @property
    def _playing(self) -> Player:
        if self._player is None:
            raise ActionError("the episode has not begun: call reset() before step(), snapshot() or file.")
        return self._player

    @property
    def _planning(self) -> Planner:
        game = self.game
        if self._planner is None or self._planner.game is not game:
            self._planner = Planner(game)
        return self._planner

    def _begin(self, file: GameFile) -> None:
        task = file.task_id
        self._file = file
        if self.backend == "native":
            self._player = NativePlayer(Simulator(self.library.game(file)))
        elif task != self._task or self._player is None:  # loading takes seconds, beginning anew one
            self._engine = self._engine or EngineProcess()
            self._player = EnginePlayer(self._engine, file)
        self._task = task

    def _chosen(self, seed: int | None, options: dict[str, Any]) -> GameFile:
        if (task := options.get("task")) is not None:
            return self.library.file(task)
        if (index := options.get("index")) is not None:
            return self.library.file_at(int(index))
        drawn = seed if seed is not None else int(self.np_random.integers(2**63))
        return self.library.file_at(random.Random(drawn).randrange(len(self.library)))

    def _worded(self, action: str) -> str:
        """The command for an action; with ``old_wording`` "put O in/on R" is "move O to R"."""
        if self.old_wording and (found := _OLD_WORDING.fullmatch(action)):
            return f"move {found[1]} to {found[2]}"
        return action

    def _is_thought(self, action: str) -> bool:
        return self.thoughts != "off" and _THOUGHT.match(action) is not None

    def _breakdown(self, reward: float) -> dict[str, float]:
        native = self.backend == "native"
        return {"total": reward, **(conditions(self.game, self.state) if native else {})}

    def _info(self) -> dict[str, Any]:
        return {
            "task": self._task,
            "task_type": self.file.task_type,
            "admissible_actions": list(self._turn.admissible),
            "success": self._turn.won and self._ended,
            "legal": self._turn.legal,
            "messages": tuple(self.prompt(self)),
        }
