"""The two halves of a simulation that need no model: down to a leaf, and the result back up."""

from __future__ import annotations

import math

from agentq.search.settings import Rules, SearchSettings
from agentq.search.tree import Node


def uct(node: Node, settings: SearchSettings) -> float:
    """The score by which a child is chosen. N is the parent's visits, n the node's, V its mean value.

    official: V / n + sqrt(2 ln N / n), which divides a mean by n once more; textbook: V + c sqrt(ln N / n);
    PUCT: V + c P sqrt(N) / (1 + n), officially V / n + c Q sqrt(N) / (1 + n). Simulations under way count as
    visits with ``virtual_value``.
    """
    assert node.parent is not None
    visits, above = node.visits + node.pending, node.parent.visits + node.parent.pending
    value = node.value
    if node.pending:
        seen = value * node.visits if node.visits else 0.0
        value = (seen + settings.virtual_value * node.pending) / visits
    if settings.guide == "puct" and settings.uct == "textbook":
        return value + settings.exploration * node.prior * math.sqrt(max(above, 1)) / (1 + visits)
    if visits == 0:
        optimistic = settings.rules.unvisited == "optimistic" and value >= 0
        return math.inf if optimistic else value
    if settings.uct == "official":
        if settings.guide == "puct":
            return value / visits + settings.exploration * (node.q or 0.0) * math.sqrt(above) / (1 + visits)
        if above == 0:  # the published score is then NaN, and the first of the children wins
            return math.nan
        return value / visits + math.sqrt(2 * math.log(above) / visits)
    return value + settings.exploration * math.sqrt(math.log(max(above, 1)) / visits)


def select(root: Node, settings: SearchSettings) -> Node | None:
    """The node that the walk from the root ends at: a leaf to expand, a success, or None.

    Exhausted nodes (all children terminal) are left on the way: taken out of the tree with
    ``uct="official"``, else closed. None: nothing is left, or what is left is being expanded.
    """
    return _select_official(root, settings) if settings.uct == "official" else _select(root, settings)


def _select_official(root: Node, settings: SearchSettings) -> Node | None:
    node: Node | None = root
    while node is not None and node.children:
        if all(child.terminal for child in node.children):
            parent = node.parent
            if parent is not None:
                parent.children.remove(node)
            node = parent
            if settings.rules.root_kept and (node is None or node.parent is None):
                return node
            continue
        success = next((child for child in node.children if child.success), None)
        if success is not None:
            return success
        node = max((c for c in node.children if not c.terminal), key=lambda c: uct(c, settings))
    return node


def _select(root: Node, settings: SearchSettings) -> Node | None:
    node = root
    while node.children:
        success = next((child for child in node.children if child.success), None)
        if success is not None and settings.early_stop:
            return success
        open_children = [c for c in node.children if not (c.terminal or c.closed)]
        if not open_children:
            node.closed = True
            if node.parent is None:
                return None
            node = node.parent
            continue
        free = [child for child in open_children if _reachable(child)]
        if not free:
            return None
        node = max(free, key=lambda c: uct(c, settings))
    return None if node.terminal or node.closed or node.claimed else node


def _reachable(node: Node) -> bool:
    """Whether a leaf that no simulation is expanding can be below."""
    if not node.children:
        return not node.claimed
    return any(_reachable(c) for c in node.children if not (c.terminal or c.closed)) or not node.pending


def backup(node: Node, value: float, rules: Rules) -> None:
    """Enter ``value`` into the running means from ``node`` to the root.

    The first visit replaces the initial value. A terminal node with reward 0 takes ``rules.failure`` instead,
    where the variant says so.
    """
    for above in node.ancestors():
        above.visits += 1
        failed = rules.failure is not None and above.terminal and above.reward == 0
        entered = rules.failure if failed and rules.failure is not None else value
        above.value = (above.value * (above.visits - 1) + entered) / above.visits
