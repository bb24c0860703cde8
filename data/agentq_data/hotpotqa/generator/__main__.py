"""Command line: ``python -m agentq_data.hotpotqa.generator --out DIR [--regions N] [--seed S]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from agentq.errors import DataError
from agentq_data.hotpotqa.generator import REGIONS, write_world


def main() -> int:
    """Writes a world and prints its files; exit status 2 for arguments out of range."""
    parser = argparse.ArgumentParser(prog="python -m agentq_data.hotpotqa.generator", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write into, made if missing")
    parser.add_argument(
        "--regions", type=int, default=REGIONS, help="of about 100 pages and 150 questions each"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the world")
    options = parser.parse_args()
    try:
        written = write_world(options.out, options.seed, options.regions)
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    print(*written, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
