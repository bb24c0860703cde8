"""``agentq log show DIR``: what is in a trajectory log."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentq.types import Step, Trajectory

HELP = "look into a trajectory log"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="list the episodes, or print one step by step")
    show.add_argument("directory", type=Path, metavar="DIR", help="folder of the log")
    show.add_argument("--episode", help="id of the episode to print; without it, all are listed")
    show.add_argument("--step", type=int, help="only this step of the episode (from 0), with its messages")


def run(arguments: argparse.Namespace) -> int:
    """Print the listing, the episode or the step. Raises ``LogError`` when it is not there."""
    from agentq.errors import LogError
    from agentq.trajectories import TrajectoryReader

    reader = TrajectoryReader(arguments.directory)
    if arguments.episode is None:
        for episode in reader.episodes():
            print(f"{episode.id}  {_summary(episode.trajectory)}")
        print(f"{len(reader)} episodes, {len(reader.damages)} damaged stretches")
        return 0
    trajectory = reader[arguments.episode]
    if arguments.step is not None and not 0 <= arguments.step < len(trajectory.steps):
        raise LogError(
            f"step {arguments.step} is not in episode {arguments.episode!r}, which has "
            f"{len(trajectory.steps)} steps. Count from 0."
        )
    print(_summary(trajectory))
    for index, step in enumerate(trajectory.steps):
        if arguments.step is None or arguments.step == index:
            _print_step(index, step, messages=arguments.step is not None)
    return 0


def _summary(trajectory: Trajectory) -> str:
    last = trajectory.steps[-1] if trajectory.steps else None
    end = (
        "empty"
        if last is None
        else "finished"
        if last.terminated
        else "truncated"
        if last.truncated
        else "open"
    )
    return (
        f"task {trajectory.task} seed {trajectory.seed} steps {len(trajectory.steps)} "
        f"score {trajectory.score:.3f} {end}"
    )


def _print_step(index: int, step: Step, *, messages: bool) -> None:
    if messages:
        for message in step.messages:
            print(f"[{message['role']}] {message['content']}")
    decision = step.decision
    print(f"step {index}  reward {step.reward:.3f}  chosen by {decision.selector or 'the policy alone'}")
    for number, candidate in enumerate(decision.candidates):
        mark = ">" if number == decision.index else " "
        text = candidate.action if candidate.action is not None else f"{candidate.text!r} ({candidate.error})"
        print(
            f" {mark} q {decision.q[number]:8.4f}  p {decision.probabilities[number]:.3f}  x{candidate.count}  {text}"
        )
