"""``agentq compare RUN_A RUN_B``: what changed between two runs, and whether that can be chance."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

HELP = "compare two runs arm by arm: paired differences, tests, most different tasks, versions"
_PROVENANCE_LINES = 25


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("first", type=Path, metavar="RUN_A", help="folder of the run to compare with")
    parser.add_argument("second", type=Path, metavar="RUN_B", help="folder of the run that is judged")
    parser.add_argument(
        "--arms", metavar="A:B[,...]", default="",
        help="which arms belong together, e.g. best_of_n@8:softmax@8 (default: the same name@n)",
    )  # fmt: skip
    parser.add_argument("--examples", type=int, default=10, help="most different tasks to list per arm")
    parser.add_argument("--json", action="store_true", help="everything as one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print the comparison. Raises ``EvaluationError`` when the runs have no arm or no task in common."""
    from agentq_eval.reports.comparison import compare_runs

    pairs = tuple(part.strip() for part in arguments.arms.split(",") if part.strip())
    found = compare_runs(arguments.first, arguments.second, pairs, examples=arguments.examples)
    if arguments.json:
        import json

        print(json.dumps(found, indent=2, allow_nan=False))
        return 0
    from rich.console import Console

    print_comparison(found, Console(highlight=False, soft_wrap=False))
    return 0


def print_comparison(found: dict[str, Any], console: Console) -> None:
    """The comparison as tables for a terminal."""
    from rich.markup import escape

    first, second = found["runs"]
    panel = found["panel"]
    console.print(f"A  [bold]{escape(first['folder'])}[/]  {escape(first['title'])}, {first['tasks']} tasks")
    console.print(
        f"B  [bold]{escape(second['folder'])}[/]  {escape(second['title'])}, {second['tasks']} tasks"
    )
    for notice in found["notices"]:
        console.print(f"[bold yellow]![/] {escape(notice)}", style="yellow")
    if panel["same"]:
        console.print(f"Same {panel['shared_tasks']} tasks and seeds. Differences are B minus A, paired.\n")
    console.print(_table(found))
    for row in found["arms"]:
        if row["most_different"]:
            console.print(f"\n[bold]Most different tasks, {escape(row['second'])}[/]")
            console.print(_examples(row))
    for side, keys in zip("AB", found["unmatched"], strict=True):
        if keys:
            console.print(f"Only in {side}: {escape(', '.join(keys))}", style="dim")
    _print_provenance(found["provenance"], console)


def _table(found: dict[str, Any]) -> Any:
    from rich.table import Table

    from agentq_eval.reports.labels import interval, number, p_value, percent, span

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("Arm", overflow="fold")
    for name in ("A", "B", "B − A in score", "success", "won/tied/lost", "p", "detectable"):
        table.add_column(name, justify="right", no_wrap=name in ("A", "B"))
    for row in found["arms"]:
        low, high = row["score"]["low"], row["score"]["high"]
        style = "green" if (low or 0) > 0 else "red" if high is not None and high < 0 else ""
        name = row["first"] if row["first"] == row["second"] else f"{row['first']} : {row['second']}"
        change = number(row["score"]["difference"], 3, True)
        table.add_row(
            name,
            *(number(score["mean"]) for score in row["scores"]),
            f"[{style or 'default'}]{change}[/] {_plain(span(row['score'], 3, True))}",
            f"{percent(row['success']['difference'], True)} {_plain(interval(row['success'], True))}",
            f"{row['won']}/{row['tied']}/{row['lost']}",
            f"{p_value(row['wilcoxon_p_holm'])} (score)\n{p_value(row['mcnemar_p_holm'])} (success)",
            number(row["minimum_detectable"]),
        )
    table.caption = (
        f"{found['confidence']:.0%} intervals; p: Wilcoxon and McNemar, Holm-corrected over arms; detectable: what "
        f"this many tasks show with {found['power']:.0%} power"
    )
    return table


def _examples(row: dict[str, Any]) -> Any:
    from rich.markup import escape
    from rich.table import Table

    from agentq_eval.reports.labels import number

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("Task", overflow="fold")
    for name in ("seed", "A", "B", "B − A"):
        table.add_column(name, justify="right")
    for one in row["most_different"]:
        style = "green" if one["difference"] > 0 else "red"
        change = f"[{style}]{number(one['difference'], 2, True)}[/]"
        table.add_row(
            escape(one["task"]), str(one["seed"]), number(one["first"], 2), number(one["second"], 2), change
        )
    return table


def _print_provenance(rows: list[dict[str, Any]], console: Console) -> None:
    from rich.markup import escape

    if not rows:
        console.print("\nBoth come from the same suite, models, data and versions.")
        return
    console.print(f"\n[bold]What else is different[/] ({len(rows)})")
    for row in rows[:_PROVENANCE_LINES]:
        console.print(f"  {escape(row['name'])}: {_short(row['first'])} → {_short(row['second'])}")
    if len(rows) > _PROVENANCE_LINES:
        console.print(f"  and {len(rows) - _PROVENANCE_LINES} more, see --json", style="dim")


def _short(value: str | None) -> str:
    from rich.markup import escape

    if value is None:
        return "[dim]absent[/]"
    is_hash = len(value) >= 40 and all(sign in "0123456789abcdef" for sign in value)
    return escape(value[:12] if is_hash else value if len(value) <= 60 else f"{value[:57]}...")


def _plain(text: str) -> str:
    from rich.markup import escape

    return f"[dim]{escape(text)}[/]"
