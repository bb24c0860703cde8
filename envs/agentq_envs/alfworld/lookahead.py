"""Values of actions when the rest is played as well as possible (privileged: reads the hidden state)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentq_envs.alfworld.commands import Action
from agentq_envs.alfworld.game import Game, State
from agentq_envs.alfworld.planner import Planner
from agentq_envs.alfworld.simulator import apply, goal_holds

GAMMA = 0.98  # per step: of two ways to the goal the shorter one is better


def action_values(
    planner: Planner,
    state: State,
    actions: Sequence[Action | None],
    steps: int,
    gamma: float = GAMMA,
) -> list[float]:
    """Exact value of each action, ``steps`` commands being left with it; None is one that changes nothing.

    The reward is 1 for the command that reaches the goal, so a plan of n commands is worth gamma^(n-1) before
    its first one, and nothing when n is more than what is left.
    """
    values: list[float] = []
    for action in actions:
        after = state if action is None else apply(planner.game, state, action)
        if goal_holds(planner.game, after):
            values.append(1.0 if steps >= 1 else 0.0)
            continue
        left = planner.steps(after)
        values.append(gamma**left if left is not None and left < steps else 0.0)
    return values


def conditions(game: Game, state: State) -> Mapping[str, float]:
    """How much of the goal holds, part by part, each 0 to 1; the game itself gives no partial reward."""
    goal = game.goal
    if goal.lamp:
        near = [thing for receptacle in game.here[state.location] for thing in state.inside[receptacle]]
        return {
            "holding": float(any(game.wanted >> thing & 1 for thing in state.holding)),
            "lamp_used": float(bool(game.lamps & state.used)),
            "at_lamp": float(any(game.lamps >> thing & 1 for thing in near)),
        }
    counts = [
        sum(game.wanted >> thing & 1 for thing in state.inside[receptacle]) for receptacle in game.targets
    ]
    parts = {"placed": min(1.0, max(counts, default=0) / goal.count)}
    if goal.change:
        changed = {"clean": state.clean, "hot": state.hot, "cool": state.cool}[goal.change]
        parts["changed"] = float(bool(game.wanted & changed))
    return parts
