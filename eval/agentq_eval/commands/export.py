"""``agentq export RUN --to FORMAT``: a run for other programs."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write a run as csv, parquet, latex, or as a log of inspect_ai"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from agentq_eval.exports.formats import format_names

    names = format_names()
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run of `agentq eval`")
    parser.add_argument(
        "--to", required=True, choices=names, metavar="FORMAT", dest="format", help=", ".join(names)
    )
    parser.add_argument("--output", type=Path, metavar="PATH", help="the file (default: inside the run)")
    parser.add_argument("--steps", action="store_true", help="one row per step instead of per episode")


def run(arguments: argparse.Namespace) -> int:
    """Write the file and say where it is. Raises ``EvaluationError`` where there is nothing to export."""
    from agentq_eval.exports.formats import export

    print(export(arguments.run, arguments.format, arguments.output, steps=arguments.steps))
    return 0
