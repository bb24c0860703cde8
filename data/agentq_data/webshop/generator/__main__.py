"""Command line: ``python -m agentq_data.webshop.generator --out DIR [--products N] [--seed S]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from agentq.errors import DataError
from agentq_data.webshop.generator import write_catalogue


def main() -> int:
    """Writes a catalogue and prints its files; exit status 2 for arguments out of range."""
    parser = argparse.ArgumentParser(prog="python -m agentq_data.webshop.generator", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="directory to write into, made if missing")
    parser.add_argument("--products", type=int, default=1000, help="number of products (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the catalogue (default 0)")
    options = parser.parse_args()
    try:
        files = write_catalogue(options.out, options.seed, options.products)
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    print(files.products, files.attributes, files.human, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
