"""``agentq doctor``: which versions are installed."""

from __future__ import annotations

import argparse
import json

HELP = "print the versions that matter when something does not work"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--json", action="store_true", help="one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print versions; nothing heavy is imported, so it works in a broken environment."""
    from agentq.provenance import collect_provenance

    record = collect_provenance(argv=[])
    record = {key: record[key] for key in ("agentq", "python", "platform", "packages", "git")}
    if arguments.json:
        print(json.dumps(record, indent=2))
        return 0
    commit = record["git"]["commit"][:12] if record["git"] else "no checkout"
    print(f"agentq {record['agentq']} ({commit})\npython {record['python']} on {record['platform']}")
    for name, version in record["packages"].items():
        print(f"{name} {version}")
    return 0
