"""One self-contained page of a report: inline styles and drawings, no scripts, nothing from the network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from agentq_eval.labels import arm_label, headline, interval, percent
from agentq_eval.report_svg import bar_chart, curve_chart

_STYLE = """
:root { color-scheme: light dark; --page: #fbfbfa; --ink: #1d2430; --soft: #5d6776; --rule: #dfe2e7;
  --accent: #2563c9; --plain: #a9b1bd; --teal: #0e8f7e; --brown: #8a6d3b; --rust: #c2613f; }
@media (prefers-color-scheme: dark) { :root { --page: #14171c; --ink: #e6e9ee; --soft: #9aa4b2;
  --rule: #2d333d; --accent: #6ea2f5; --plain: #5d6776; --teal: #43bfae; --brown: #c9a86a;
  --rust: #e08c6c; } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 24px 16px 64px; max-width: 860px; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 4px } h2 { font-size: 1.1rem; margin: 36px 0 8px }
p.lead { font-size: 1.15rem; margin: 12px 0 } .soft, caption { color: var(--soft) }
svg { width: 100%; height: auto; display: block } svg text { fill: var(--ink); font-size: 13px }
.grid { stroke: var(--rule); fill: none } .whisker { stroke: var(--ink); stroke-width: 1.5; fill: none }
.bar.plain { fill: var(--plain) } .bar.critic { fill: var(--accent) }
.bar.bound { fill: none; stroke: var(--soft); stroke-dasharray: 5 4 }
.series, .legend li { color: var(--plain) } .best_of_n { color: var(--accent) !important }
.softmax { color: var(--teal) !important } .majority { color: var(--brown) !important }
.greedy { color: var(--rust) !important } .oracle { color: var(--soft) !important }
.line { stroke: currentColor; stroke-width: 2.2; fill: none } .oracle .line { stroke-dasharray: 6 5 }
.series circle { fill: currentColor } .band { stroke: currentColor; stroke-width: 1.4 }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 18px; padding: 0; margin: 4px 0 }
.legend li { display: flex; align-items: center; gap: 6px; font-size: .9rem }
.legend i { width: 18px; border-top: 3px solid currentColor }
.legend span { color: var(--ink) }
@media (max-width: 560px) { svg text { font-size: 16px } }
.scroll { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-size: .92rem }
th, td { padding: 6px 10px 6px 0; text-align: right; border-bottom: 1px solid var(--rule);
  white-space: nowrap; font-variant-numeric: tabular-nums }
th:first-child, td:first-child { text-align: left } th { font-weight: 600; color: var(--soft) }
pre { overflow-x: auto; font-size: .82rem; border: 1px solid var(--rule); border-radius: 6px; padding: 12px }
summary { cursor: pointer }
"""


def render_html(report: dict[str, Any]) -> str:
    """The page as text."""
    metadata = report["metadata"]
    title = escape(str(metadata.get("title", "Choosing actions by Q-value")))
    rest = {key: value for key, value in metadata.items() if key != "title"}
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{title}</h1>",
        f'<p class="lead">{escape(headline(report))}</p>',
        f'<p class="soft">{escape(_how(report))}</p>',
        f"<h2>Score with {report['main_n']} candidates</h2>{bar_chart(report)}",
        *_curve(report),
        f"<h2>Every arm</h2>{_arms_table(report)}",
        f"<h2>Paired differences</h2>{_pairs_table(report)}",
        f"<details><summary>Configuration and provenance</summary><pre>{_json(rest)}</pre></details>",
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _how(report: dict[str, Any]) -> str:
    seeds = report["seeds"]
    return (
        f"Every arm played the same {report['tasks']} tasks with seed{'s' if len(seeds) > 1 else ''} "
        f"{', '.join(map(str, seeds))}. Brackets are {report['confidence']:.0%} intervals: bootstrap over "
        f"tasks ({report['bootstrap']['repetitions']:,} resamples), Wilson for success rates."
    )


def _curve(report: dict[str, Any]) -> list[str]:
    chart = curve_chart(report)
    return [f"<h2>Score over the number of candidates</h2>{chart}"] if chart else []


def _arms_table(report: dict[str, Any]) -> str:
    rows: list[list[str]] = []
    for name, points in report["curve"].items():
        for arm in points:
            if arm["n_candidates"] == 1 and name not in ("sampled", "greedy"):
                continue  # the N=1 point that closes a curve is the arm "sampled"
            episodes = arm["episodes"]
            rows.append(
                [
                    arm_label(name, arm["n_candidates"]),
                    f"{arm['score']['mean']:.3f} {_plain_interval(arm['score'])}",
                    f"{percent(arm['success']['rate'])} {interval(arm['success'])}",
                    _number(arm["seconds_per_decision"], "{:.4f}"),
                    _number(arm["tokens_per_decision"], "{:.0f}"),
                    f"{arm['steps_per_episode']:.1f}",
                    f"{episodes['finished']} / {episodes['truncated']} / {episodes['failed']}",
                ]
            )
    head = [
        "arm",
        "score",
        "success",
        "s / decision",
        "tokens / decision",
        "steps",
        "finished / truncated / failed",
    ]
    return _table(head, rows)


def _pairs_table(report: dict[str, Any]) -> str:
    arms = report["arms"]
    rows = [
        [
            " − ".join(arm_label(pair[key], arms[pair[key]]["n_candidates"]) for key in ("arm", "base")),
            f"{pair['score']['difference']:+.3f} {_plain_interval(pair['score'], '+')}",
            f"{percent(pair['success']['difference'], True)} {interval(pair['success'], True)}",
        ]
        for pair in report["paired"]
    ]
    return _table(["difference", "score", "success"], rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    return f'<div class="scroll"><table><thead><tr>{names}</tr></thead><tbody>{lines}</tbody></table></div>'


def _plain_interval(numbers: dict[str, Any], sign: str = "") -> str:
    if numbers["low"] is None or numbers["high"] is None:
        return "[no interval]"
    return f"[{numbers['low']:{sign}.3f}, {numbers['high']:{sign}.3f}]"


def _number(value: float | None, form: str) -> str:
    return "undefined" if value is None else form.format(value)


def _json(value: Any) -> str:
    return escape(json.dumps(value, indent=2, ensure_ascii=False))
