"""Command line: ``python -m agentq_data.alfworld.generator --out DIR [--games N] [--seed S] [--first I]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from agentq.errors import DataError
from agentq_data.alfworld.generator import write_games


def main() -> int:
    """Writes games and prints their paths; exit status 2 for arguments out of range."""
    parser = argparse.ArgumentParser(prog="python -m agentq_data.alfworld.generator", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write into, made if missing")
    parser.add_argument("--games", type=int, default=100, help="number of games (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="seed of rooms and games (default 0)")
    parser.add_argument("--first", type=int, default=0, help="number of the first game (default 0)")
    options = parser.parse_args()
    try:
        for path in write_games(options.out, options.games, options.seed, options.first):
            print(path)
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
