"""``agentq report DIR``: make the report of a run, finished or still going, or make an old one again."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "make the report of a run (again): report.html, report.json, episodes.jsonl, plots"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "directory",
        type=Path,
        metavar="DIR",
        help="folder of a run of `agentq eval`, or one with episodes.jsonl and report.json",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the report's files and print its headline. Raises ``EvaluationError`` for broken folders."""
    from agentq_eval.reports import headline, rebuild_report

    print(headline(rebuild_report(arguments.directory)))
    print(arguments.directory / "report.html")
    return 0
