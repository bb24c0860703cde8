"""The command ``agentq``: finds its subcommands, imports nothing heavy until one runs."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Protocol, cast

import agentq
import agentq.commands
from agentq.errors import AgentQError, ConfigError

ENTRY_POINT_GROUP = "agentq.commands"


class Command(Protocol):
    """What a command module has."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""
        ...

    def run(self, arguments: argparse.Namespace) -> int:
        """Do the work; the result is the exit status."""
        ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``agentq`` with ``argv`` (default: the process's own words); returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    modules = find_commands()
    wanted = [words[0]] if words and words[0] in modules else sorted(modules)
    parser = argparse.ArgumentParser(prog="agentq", description=agentq.__doc__)
    parser.add_argument("--version", action="version", version=f"agentq {agentq.__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands: dict[str, Command] = {}
    try:
        for name in wanted:
            command = commands[name] = _load(name, modules[name])
            command.add_arguments(subparsers.add_parser(name, help=command.HELP, description=command.HELP))
        arguments = parser.parse_args(words)
        return commands[arguments.command].run(arguments)
    except AgentQError as error:
        print(f"agentq: error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader (`| head`) has gone; what it did read was right
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def find_commands() -> dict[str, str]:
    """Subcommand names and the modules behind them; nothing is imported."""
    own = {
        info.name: f"{agentq.commands.__name__}.{info.name}"
        for info in pkgutil.iter_modules(agentq.commands.__path__)
    }
    others = {point.name: point.value for point in metadata.entry_points(group=ENTRY_POINT_GROUP)}
    return {**others, **own}


def _load(name: str, module: str) -> Command:
    try:
        return cast(Command, importlib.import_module(module))
    except ImportError as error:
        raise ConfigError(
            f"the command {name!r} needs the module {module!r}, which does not import ({error}). "
            "Reinstall the package that provides it, or uninstall it."
        ) from error


if __name__ == "__main__":
    sys.exit(main())
