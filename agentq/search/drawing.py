"""A search tree as a picture: SVG, or a page that holds many and needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from agentq.search.tree import Node, Tree

_ROW, _COLUMN, _MARGIN, _RADIUS = 36.0, 250.0, 16.0, 6.0
_CHARACTERS = 30  # of an action beside its node

_STYLE = """
:root { color-scheme: light dark; --text: #1d2330; --quiet: #5a6475; --page: #ffffff; --line: #b9c0cc;
  --best: #b4530a; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e9ef; --quiet: #9aa4b5; --page: #14171d; --line: #4a5261; --best: #f0a35e; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page); margin: 2rem auto;
  max-width: 90rem; padding: 0 1rem; }
h1 { font-size: 1.35rem; } details { border-top: 1px solid var(--line); padding: .4rem 0; } summary { cursor: pointer; }
summary span { color: var(--quiet); margin-left: .8rem; } .scroll { overflow-x: auto; } dl { display: grid;
  grid-template-columns: max-content 1fr; gap: .1rem 1rem; } dt { color: var(--quiet); } dd { margin: 0; }
"""
_SVG_STYLE = """
.tree text { font: 13px system-ui, sans-serif; fill: var(--text, #1d2330); paint-order: stroke;
  stroke: var(--page, #ffffff); stroke-width: 4px; stroke-linejoin: round; }
.tree .quiet { fill: var(--quiet, #5a6475); font-size: 12px; }
.tree path { fill: none; stroke: var(--line, #b9c0cc); }
.tree path.best { stroke: var(--best, #b4530a); }
.tree circle { stroke: var(--line, #8a93a3); stroke-width: 1; }
.tree circle.best { stroke: var(--best, #b4530a); stroke-width: 2.5; }
"""


def tree_svg(tree: Tree, *, maximum: int = 400) -> Markup:
    """The tree from left to right: colour is value, thickness is visits, an outline marks the best trajectory.

    Pointing at a node shows everything about it. Of more than ``maximum`` nodes the most visited are drawn.
    """
    shown = _shown(tree, maximum)
    places = _places(tree.root, shown)
    best = {id(node) for node in tree.best().path()} if tree.best().reward > 0 else set[int]()
    low, high = _range(shown)
    width = _MARGIN * 2 + (max(node.depth for node in shown) + 1) * _COLUMN
    height = _MARGIN * 2 + max(y for _, y in places.values()) - _MARGIN + _ROW / 2
    parts = [_line(node, places, id(node) in best) for node in shown if node.parent is not None]
    parts += [_node(node, places[id(node)], id(node) in best, low, high) for node in shown]
    left_out = sum(1 for _ in tree.root.preorder()) - len(shown)
    label = f"search tree of {tree.task}, {len(shown)} nodes" + (f", {left_out} left out" if left_out else "")
    return Markup(
        '<svg class="tree" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{}" width="{:.0f}" '
        'height="{:.0f}" viewBox="0 0 {:.0f} {:.0f}"><style>{}</style>{}</svg>'
    ).format(label, width, height, width, height, Markup(_SVG_STYLE), Markup("").join(parts))


def tree_page(trees: Sequence[Tree], title: str = "Search trees") -> str:
    """One HTML file with every tree to fold out; no network, no script."""
    solved = sum(tree.best_reward() == 1 for tree in trees)
    mean = sum(tree.best_reward() for tree in trees) / max(len(trees), 1)
    sections = Markup("").join(_section(tree, is_open=len(trees) == 1) for tree in trees)
    return str(
        Markup(
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
            'content="width=device-width, initial-scale=1"><title>{}</title><style>{}</style></head><body><h1>{}</h1>'
            "<p>{} trees, {} with a node of full reward, best reward {:.3f} on average. A node's colour is its value "
            "(blue low, orange high), the line to it is as thick as its share of visits, outlined is the way to the "
            "best reward. Point at a node for its numbers and its whole reply.</p>{}</body></html>\n"
        ).format(title, Markup(_STYLE), title, len(trees), solved, mean, sections)
    )


def tree_text(tree: Tree) -> str:
    """The tree indented, one line per node: visits, value, reward, action."""
    lines: list[str] = []
    for node in tree.root.preorder():
        mark = " *" if node.terminal else ""
        lines.append(
            f"{'  ' * node.depth}{node.visits:4d}  {node.value:7.3f}  {node.reward:6.3f}{mark}  {_label(node, 100)}"
        )
    return "\n".join(lines)


def summary_line(tree: Tree) -> str:
    """A tree in one line."""
    nodes = sum(1 for _ in tree.root.preorder())
    return (
        f"{tree.task}#{tree.seed}  {nodes} nodes, {tree.iterations} iterations, value {tree.root.value:.3f}, "
        f"best reward {tree.best_reward():.3f}, {tree.stopped}"
    )


def _section(tree: Tree, is_open: bool) -> Markup:
    return Markup(
        '<details{}><summary>{}<span>{}</span></summary><div class="scroll">{}</div></details>'
    ).format(
        Markup(" open") if is_open else "", tree.task, summary_line(tree).split("  ", 1)[1], tree_svg(tree)
    )


def _shown(tree: Tree, maximum: int) -> list[Node]:
    nodes = list(tree.root.preorder())
    if len(nodes) <= maximum:
        return nodes
    kept: set[int] = set()
    for node in sorted(nodes, key=lambda node: -node.visits):
        if len(kept) >= maximum:
            break
        kept |= {id(above) for above in node.ancestors()}
    return [node for node in nodes if id(node) in kept]


def _places(root: Node, shown: Sequence[Node]) -> dict[int, tuple[float, float]]:
    """Leaves below each other, a parent in the middle of its children."""
    drawn = {id(node) for node in shown}
    rows: dict[int, float] = {}
    free = 0
    for node in reversed(list(shown)):  # children before their parents
        below = [rows[id(child)] for child in node.children if id(child) in drawn]
        if below:
            rows[id(node)] = sum(below) / len(below)
        else:
            rows[id(node)], free = float(free), free + 1
    last = free - 1
    return {
        id(node): (
            _MARGIN + node.depth * _COLUMN + _RADIUS,
            _MARGIN + (last - rows[id(node)]) * _ROW + _RADIUS,
        )
        for node in shown
    }


def _range(nodes: Sequence[Node]) -> tuple[float, float]:
    values = [node.value for node in nodes if node.visits]
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (low, high) if high > low else (low, low + 1.0)


def _line(node: Node, places: dict[int, tuple[float, float]], best: bool) -> Markup:
    """From the parent to the node, as thick as the node's share of visits."""
    assert node.parent is not None
    (fx, fy), (x, y) = places[id(node.parent)], places[id(node)]
    thickness = 0.7 + 3 * min(node.visits / max(node.parent.visits, 1), 1.0)
    curve = f"M{fx:.0f} {fy:.0f} C{fx + 30:.0f} {fy:.0f} {x - 34:.0f} {y:.0f} {x - _RADIUS:.0f} {y:.0f}"
    return Markup('<path class="{}" stroke-width="{:.1f}" d="{}"/>').format(
        "best" if best else "", thickness, curve
    )


def _node(node: Node, place: tuple[float, float], best: bool, low: float, high: float) -> Markup:
    x, y = place
    share = min(max((node.value - low) / (high - low), 0.0), 1.0)
    hue, light = (215, 45 + 25 * share) if share < 0.5 else (30, 75 - 25 * share)
    tip = "\n".join(
        [
            f"value {node.value:.4f}, {node.visits} visits, reward {node.reward:g}"
            + (", terminal" if node.terminal else ""),
            *([f"critic {node.q:.4f}"] if node.q is not None else []),
            node.text or node.action or "start",
        ]
    )
    anchor = x + _RADIUS + 5
    return Markup(
        '<g><title>{}</title><circle class="{}" cx="{:.0f}" cy="{:.0f}" r="{}" fill="hsl({} 70% {:.0f}%)"/>'
        '<text x="{:.0f}" y="{:.0f}">{}</text><text class="quiet" x="{:.0f}" y="{:.0f}">{}</text></g>'
    ).format(
        tip, "best" if best else "", x, y, _RADIUS if not node.terminal else _RADIUS + 2, hue, light,
        anchor, y - 4, _label(node, _CHARACTERS), anchor, y + 12, _numbers(node),
    )  # fmt: skip


def _label(node: Node, limit: int) -> str:
    text = " ".join((node.action or node.text or "start").split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _numbers(node: Node) -> str:
    reward = f", reward {node.reward:g}" if node.terminal or node.reward else ""
    return f"{node.value:.2f} in {node.visits}{reward}"
