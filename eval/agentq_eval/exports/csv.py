"""Comma-separated values, one row per episode or per step."""

from __future__ import annotations

import csv
from pathlib import Path

from agentq_eval.exports.rows import episode_rows, step_rows

FILE = "episodes.csv"


def write(folder: Path, output: Path, *, steps: bool = False) -> None:
    """Write the table; missing values are empty cells. Streams: memory is one episode for steps."""
    rows = step_rows(folder) if steps else episode_rows(folder)
    with output.open("w", encoding="utf-8", newline="") as file:
        writer: csv.DictWriter[str] | None = None
        for row in rows:
            if writer is None:
                writer = csv.DictWriter(file, list(row))
                writer.writeheader()
            writer.writerow(row)
