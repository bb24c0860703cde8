"""A LaTeX table of the arms with intervals, for the package booktabs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from agentq.errors import ConfigError
from agentq_eval.reports.files import report_of_folder
from agentq_eval.reports.labels import arm_label
from agentq_eval.reports.settings import Report

FILE = "table.tex"

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def write(folder: Path, output: Path, *, steps: bool = False) -> None:
    """Write a ``table`` environment. Raises ``ConfigError`` for steps, which are no table to print."""
    if steps:
        raise ConfigError("latex has no table of steps. Use csv or parquet for them.")
    output.write_text(latex_table(report_of_folder(folder)), encoding="utf-8")


def latex_table(report: Report) -> str:
    """The table as text: score, success, difference to the base, tokens per decision."""
    differences = {(row["arm"], row["n_candidates"]): row["score"] for row in report["differences"]}
    lines = [
        _row(name, arm, differences.get((name, arm["n_candidates"]))) for name, arm in report["arms"].items()
    ]
    base = report["differences"][0] if report["differences"] else None
    against = (
        f" Differences are paired, against {arm_label(base['base'], base['base_n_candidates'])}."
        if base
        else ""
    )
    title = str(report["metadata"].get("title") or "AgentQ evaluation")
    caption = (
        f"{title}: {report['tasks']} tasks, {len(report['seeds'])} seed{'s' if len(report['seeds']) > 1 else ''}. "
        f"Brackets are {report['confidence']:.0%} intervals (bootstrap over tasks; Wilson for success).{against}"
    )
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{escape(caption)}}}",
            "\\begin{tabular}{llllr}",
            "\\toprule",
            "Arm & Score & Success (\\%) & Difference in score & Tokens per decision \\\\",
            "\\midrule",
            *lines,
            "\\bottomrule",
            "\\end{tabular}",
            "\\end{table}",
            "",
        ]
    )


def escape(text: str) -> str:
    """Text with LaTeX's special characters written out."""
    return re.sub(r"[\\~^&%$#_{}]", lambda match: _SPECIAL[match[0]], text)


def _row(name: str, arm: dict[str, Any], difference: dict[str, Any] | None) -> str:
    score, success = arm["score"], arm["success"]
    tokens = arm["tokens_per_decision"]
    cells = [
        escape(arm_label(name, arm["n_candidates"])),
        f"${score['mean']:.3f}$ {_limits(score)}",
        f"${100 * success['rate']:.1f}$ {_limits(success, 100, 1)}",
        "--"
        if difference is None
        else f"${difference['difference']:+.3f}$ {_limits(difference, signed=True)}",
        "--" if tokens is None else f"{tokens:.0f}",
    ]
    return " & ".join(cells) + " \\\\"


def _limits(numbers: dict[str, Any], factor: float = 1, digits: int = 3, signed: bool = False) -> str:
    low, high = numbers["low"], numbers["high"]
    if low is None or high is None:
        return "[no interval]"
    sign = "+" if signed else ""
    return f"$[{factor * low:{sign}.{digits}f}, {factor * high:{sign}.{digits}f}]$"
