"""``agentq export SOURCE --to FORMAT``: a run for other programs, a critic for a server."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "write a run as csv, parquet, latex or a log of inspect_ai; a critic as a model that a server computes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from agentq.critics.exports.names import export_format_names
    from agentq_eval.exports.formats import format_names

    runs, critics = format_names(), export_format_names()
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="folder of a run of `agentq eval`; or a critic: folder, bundled or hub name",
    )
    parser.add_argument(
        "--to",
        required=True,
        choices=(*runs, *critics),
        metavar="FORMAT",
        dest="format",
        help=f"of a run: {', '.join(runs)}; of a critic: {', '.join(critics)}",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="PATH",
        help="file (default: inside the run), or the critic's new folder",
    )
    parser.add_argument(
        "--steps", action="store_true", help="of a run: one row per step instead of per episode"
    )
    parser.add_argument(
        "--join-heads",
        action="store_true",
        help="of a critic: one label, the mean of the heads, instead of one each",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write and say where it is.

    Raises ``EvaluationError`` where there is nothing to export, ``ConfigError`` for options of the other kind
    of source and for a critic that the format cannot express.
    """
    from agentq.critics.exports.names import export_format_names

    if arguments.format in export_format_names():
        return _export_critic(arguments)
    from agentq.errors import ConfigError
    from agentq_eval.exports.formats import export

    if arguments.join_heads:
        raise ConfigError(
            f"--join-heads is for critics, and {arguments.format} is a format of runs. Leave it out."
        )
    print(export(Path(arguments.source), arguments.format, arguments.output, steps=arguments.steps))
    return 0


def _export_critic(arguments: argparse.Namespace) -> int:
    from agentq.critics.exports.formats import export_critic
    from agentq.critics.loading import load_critic
    from agentq.critics.q_head import QCritic
    from agentq.errors import ConfigError

    if arguments.steps:
        raise ConfigError(
            f"--steps is for runs, and {arguments.format} is a format of critics. Leave it out."
        )
    if arguments.output is None:
        raise ConfigError(
            f"--to {arguments.format} needs --output FOLDER, the folder that the server will load."
        )
    critic = load_critic(arguments.source, device="cpu")
    if not isinstance(critic, QCritic):
        raise ConfigError(
            f"critic {arguments.source!r} is a {type(critic).__name__}; expected a QCritic, whose heads read hidden "
            "states. Others have no export."
        )
    exported = export_critic(critic, arguments.format, arguments.output, join_heads=arguments.join_heads)
    print(f"{exported.folder}\nlargest error on the probe: {exported.error:.1e}\n\nServe and use it:")
    print(f"  {exported.command}\n  --critic {exported.folder}@http://HOST:8000")
    return 0
