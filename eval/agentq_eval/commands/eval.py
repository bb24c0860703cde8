"""``agentq eval SUITE``: play a suite, go on where it stopped, and write the report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentq_eval.suites.suite import Suite

HELP = "play a suite with its arms and report scores with intervals; resumes by itself"
POWER = "power"  # in place of a suite: how many tasks are needed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "suite", nargs="?", metavar="SUITE",
        help="name of a suite, path of a suite file, or `power` (tasks needed to see a difference)",
    )  # fmt: skip
    parser.add_argument("--list", action="store_true", help="name the suites and stop")
    parser.add_argument("--agent", help="who proposes: a model name or folder, or module:function (a policy)")
    parser.add_argument("--critic", help="who values: a folder of a saved critic, or module:function")
    parser.add_argument(
        "--selector", metavar="NAME[:key=value,...]",
        help="who chooses, in place of the suite's arms with a critic, e.g. softmax:temperature=0.2",
    )  # fmt: skip
    parser.add_argument("--n", type=int, nargs="+", help="candidates per decision, one arm each")
    parser.add_argument("--arms", help="only these of the suite, e.g. sampled,best_of_n")
    parser.add_argument("--tasks", type=int, help="only so many tasks of the panel")
    parser.add_argument("--seeds", type=int, nargs="+", help="one episode per task, arm and seed")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", dest="settings",
        help="any setting of the suite, e.g. --set environment.options.products=items.json",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, help="folder of the run (default: runs/SUITE)")
    parser.add_argument("--runner", choices=("process", "thread", "ray"), default="process")
    parser.add_argument("--workers", type=int, default=0, help="default: one per core, at most 4")
    parser.add_argument("--slots", type=int, default=64, help="episodes at a time in each worker")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    parser.add_argument(
        "--replay", type=Path, metavar="RUN", help="recompute all choices of a log and compare"
    )
    power = parser.add_argument_group("power")
    power.add_argument("--difference", type=float, help="in score (0-1) that should be seen")
    power.add_argument(
        "--from", type=Path, metavar="RUN", dest="run", help="take spread and pairing from a run"
    )
    power.add_argument("--deviation", type=float, help="standard deviation of the paired differences")
    power.add_argument("--power", type=float, default=0.8, help="chance to see it")


def run(arguments: argparse.Namespace) -> int:
    """Play, replay, or compute power; prints what a person wants to know and where the rest is."""
    if arguments.replay is not None:
        return _replay(arguments.replay)
    if arguments.list or arguments.suite is None:
        from agentq_eval.suites.loading import suite_names

        print("\n".join(suite_names()))
        return 0
    if arguments.suite == POWER:
        from agentq_eval.power import power_text

        print(power_text(arguments.difference, arguments.run, arguments.deviation, arguments.power))
        return 0
    return _play(arguments)


def _play(arguments: argparse.Namespace) -> int:
    from agentq_eval.reports.summary import summary
    from agentq_eval.running.run import RunSettings
    from agentq_eval.running.run import run as run_suite

    suite = adapted(arguments)
    folder = arguments.output or Path("runs") / suite.name
    settings = RunSettings(arguments.runner, arguments.workers, arguments.slots, progress=not arguments.quiet)
    report = run_suite(suite, folder, settings=settings)
    print(summary(report))
    print(f"report: {folder / 'report.html'}\ntraces: agentq view {folder}")
    return 0


def adapted(arguments: argparse.Namespace) -> Suite:
    """The suite with what the command line changes. Raises ``ConfigError`` for what does not fit."""
    from dataclasses import replace

    from agentq_eval.suites import changes
    from agentq_eval.suites.loading import load_suite

    suite = load_suite(arguments.suite, tuple(arguments.settings))
    if arguments.agent:
        suite = replace(suite, policy=changes.policy_of(suite.policy, arguments.agent))
    if arguments.critic:
        suite = replace(suite, critic=changes.critic_of(arguments.critic))
    if arguments.selector:
        name, options = changes.selector_of(arguments.selector)
        suite = changes.with_selector(suite, name, options)
    if arguments.n:
        suite = changes.with_candidates(suite, tuple(arguments.n))
    if arguments.arms:
        suite = changes.with_arms(suite, tuple(part.strip() for part in arguments.arms.split(",")))
    if arguments.tasks:
        suite = replace(suite, panel=replace(suite.panel, first=arguments.tasks))
    if arguments.seeds:
        suite = replace(suite, seeds=tuple(arguments.seeds))
    return suite


def _replay(folder: Path) -> int:
    from agentq_eval.offline.replay import replay

    found: Any = replay(folder)
    print(found)
    return 0 if found.identical else 1
