"""Parquet, one row per episode or per step, with types."""

# pyarrow has no type stubs.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportMissingTypeStubs=false
# pyright: reportUnknownArgumentType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from agentq_eval.exports.rows import episode_rows, step_rows

FILE = "episodes.parquet"
_GROUP = 20_000  # rows in memory at a time

# What is in none of these is a whole number.
_NAMES = frozenset({"episode", "arm", "task", "outcome", "error", "action", "selector"})
_LISTS = frozenset({"actions", "q", "probabilities", "labels"})  # as JSON text
_FLAGS = frozenset({"success", "truncated", "terminated", "parsed"})
_REALS = frozenset({"score", "seconds", "reward", "chosen_q", "chosen_probability", "env_seconds"})


def write(folder: Path, output: Path, *, steps: bool = False) -> None:
    """Write the table in groups of rows; every column has one type, whatever the first rows hold."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = step_rows(folder) if steps else episode_rows(folder)
    first = next(rows, None)
    names = list(first) if first is not None else []
    schema = pa.schema([(name, _type(name, steps)) for name in names])
    with pq.ParquetWriter(output, schema, compression="zstd") as writer:
        for group in _groups(first, rows):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def _groups(first: dict[str, Any] | None, rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group = [first] if first is not None else []
    while group:
        group += islice(rows, _GROUP - len(group))
        yield group
        group = list(islice(rows, 1))


def _type(name: str, steps: bool) -> Any:
    import pyarrow as pa

    if name in _NAMES or name in _LISTS:
        return pa.string()
    if name in _FLAGS:
        return pa.bool_()
    if name in _REALS or (name == "tokens" and steps):  # a step has its share of a batch's tokens
        return pa.float64()
    return pa.int64()
