"""The native simulator: what a command does to a state, and whether the goal holds.

It gives the same observations, commands and results as the stock engine (textworld 1.7.0 with the wrappers
of alfworld 0.4.2), tested with recorded transcripts and with fresh random games.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from agentq_envs.alfworld.commands import Action, possible
from agentq_envs.alfworld.game import Game, State
from agentq_envs.alfworld.texts import NOTHING_HAPPENS, feedback, introduction


@dataclass(frozen=True, slots=True)
class Turn:
    """What a player sees after a command: the text, the commands allowed now (sorted), and whether it is won."""

    observation: str
    admissible: tuple[str, ...]
    won: bool
    legal: bool = True  # False: the command was not allowed and nothing happened


class Simulator:
    """Plays one game; its state is a value that may be read, kept and set."""

    def __init__(self, game: Game) -> None:
        self.game = game
        self._state = game.start
        self._possible: dict[str, Action] | None = None

    @property
    def state(self) -> State:
        """The state of the game."""
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        if state is not self._state:
            self._state = state
            self._possible = None

    def reset(self) -> Turn:
        """Begin anew."""
        self.state = self.game.start
        return self._turn(introduction(self.game))

    def step(self, command: str) -> Turn:
        """Carry out a command; one that is not allowed changes nothing. White space around it is ignored."""
        command = command.strip()
        action = self.possible.get(command)
        if action is None:
            return self._turn(NOTHING_HAPPENS, legal=False)
        self.state = apply(self.game, self._state, action)
        return self._turn(feedback(self.game, self._state, action, command))

    @property
    def possible(self) -> dict[str, Action]:
        """The commands that the state allows, each with its action."""
        if self._possible is None:
            self._possible = possible(self.game, self._state)
        return self._possible

    @property
    def admissible(self) -> tuple[str, ...]:
        """The commands that the state allows, sorted as texts."""
        return tuple(sorted(self.possible))

    def _turn(self, observation: str, *, legal: bool = True) -> Turn:
        return Turn(observation, self.admissible, goal_holds(self.game, self._state), legal)


def apply(game: Game, state: State, action: Action) -> State:
    """The state after an action that is possible in ``state``."""
    verb, thing, receptacle = action.verb, action.thing, action.receptacle
    if verb == "go":
        return replace(state, location=game.places[receptacle])
    if verb == "take":
        return _taken(state, thing, receptacle)
    if verb == "move":
        return _moved(state, thing, receptacle)
    if verb == "open":
        return replace(state, opened=state.opened | 1 << receptacle)
    if verb == "close":
        return replace(state, opened=state.opened & ~(1 << receptacle))
    bit = 1 << thing if thing >= 0 else 0
    if verb == "clean":
        return replace(state, clean=state.clean | bit)
    if verb == "hot":
        return replace(state, hot=state.hot | bit, cool=state.cool & ~bit)
    if verb == "cool":
        return replace(state, cool=state.cool | bit, hot=state.hot & ~bit)
    if verb == "use":
        return replace(state, used=state.used | bit)
    if verb == "slice":
        return replace(state, sliced=state.sliced | bit)
    return state  # looking, reading and examining change nothing


def goal_holds(game: Game, state: State) -> bool:
    """Whether the goal of the game holds in a state."""
    goal = game.goal
    if goal.lamp:
        if not any(game.wanted >> thing & 1 for thing in state.holding):
            return False
        lamps = game.lamps & state.used
        return any(lamps >> thing & 1 for r in game.here[state.location] for thing in state.inside[r])
    good = game.wanted
    if goal.change:
        good &= {"clean": state.clean, "hot": state.hot, "cool": state.cool}[goal.change]
    return any(
        sum(good >> thing & 1 for thing in state.inside[receptacle]) >= goal.count
        for receptacle in game.targets
    )


def _taken(state: State, thing: int, receptacle: int) -> State:
    return replace(
        state,
        holding=(thing,),
        inside=_with(state.inside, receptacle, tuple(i for i in state.inside[receptacle] if i != thing)),
        at=_with(state.at, thing, tuple(place for place in state.at[thing] if place != state.location)),
        taken=state.taken | {(thing, receptacle)},
    )


def _moved(state: State, thing: int, receptacle: int) -> State:
    return replace(
        state,
        holding=tuple(i for i in state.holding if i != thing),
        inside=_with(state.inside, receptacle, tuple(sorted({*state.inside[receptacle], thing}))),
        at=_with(state.at, thing, tuple(sorted({*state.at[thing], state.location}))),
        taken=state.taken - {(thing, receptacle)},
    )


def _with(
    rows: tuple[tuple[int, ...], ...], position: int, row: tuple[int, ...]
) -> tuple[tuple[int, ...], ...]:
    return (*rows[:position], row, *rows[position + 1 :])
