"""``agentq report DIR``: make a report again from its episodes."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "make the report of a finished evaluation again from its episodes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "directory", type=Path, metavar="DIR", help="folder with episodes.jsonl and report.json"
    )


def run(arguments: argparse.Namespace) -> int:
    """Rewrite the report's files and print its headline. Raises ``EvaluationError`` for broken files."""
    from agentq_eval.labels import headline
    from agentq_eval.report import rebuild_report

    print(headline(rebuild_report(arguments.directory)))
    print(arguments.directory / "report.html")
    return 0
