"""ROVER: the token-level loss, reward centring, and exact values of trees."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agentq.objectives import candidate_trees as trees
from agentq.objectives.rover import back_up, centred_rewards, rover_loss, token_statistics
from tests.conformance.runner import compare, each_row


def _tensor(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def _rover_loss(row: Any, data: Path) -> list[str]:
    logits, old_logits = _tensor(row["logits"]).requires_grad_(), _tensor(row["old_logits"])
    tokens = torch.tensor(row["tokens"])
    new, old = (token_statistics(values, tokens, row["temperature"]) for values in (logits, old_logits))
    got = rover_loss(
        new,
        old,
        torch.tensor(row["mask"]),
        _tensor(row["centred_reward"]),
        rho=row["rover_t"],
        beta=row["next_q_scale_factor"],
    )
    got.loss.backward()
    results = {
        "log_prob": new.log_prob.detach(),
        "old_log_prob": old.log_prob,
        "mean_logsoftmax": new.mean_log_softmax.detach(),
        "old_mean_logsoftmax": old.mean_log_softmax,
        "q_values": got.q.detach(),
        "next_q": got.next_q,
        "target": got.target,
        "loss": got.loss.item(),
        "grad_logits": logits.grad,
    }
    return compare(results, {name: row[name] for name in results}, absolute=1e-5)


def _centred_reward(row: Any, data: Path) -> list[str]:
    scores, groups = _tensor(row["scores"]), row["groups"]
    got = {
        "countdown_mean_centred": centred_rewards(scores, groups),
        "math_script_grpo_std": centred_rewards(scores, groups, "mean_std"),
        "math_rover_estimator_unused": centred_rewards(scores, groups, "shares"),
    }
    return compare(got, {name: row[name] for name in got}, absolute=1e-5)


def _tree(node: Mapping[str, Any]) -> trees.Tree:
    return [_tree(child) for child in node["a"]] if "a" in node else Fraction(node["r"])


def _tabular_tree(row: Any, data: Path) -> list[str]:
    tree = _tree(row["tree"])
    states = [
        {
            "path": list(state.path),
            "q_uniform": [float(value) for value in state.uniform],
            "q_uniform_exact": [str(value) for value in state.uniform],
            "q_star": [float(value) for value in state.best],
            "greedy_uniform": list(state.greedy),
            "optimal": list(state.optimal),
        }
        for state in trees.states(tree)
    ]
    got: dict[str, Any] = {
        "v_uniform": float(trees.uniform_value(tree)),
        "v_star": float(trees.best_value(tree)),
        "softmax_value": {rho: trees.softmax_value(tree, float(rho)) for rho in row["softmax_value"]},
    }
    lines = compare(states, row["states"], absolute=1e-12)
    lines += compare(got, {name: row[name] for name in got}, absolute=1e-9)
    if trees.best_value(tree) == 1 and "theorem_bound" in row:
        bound = {rho: trees.softmax_bound(tree, float(rho)) for rho in row["theorem_bound"]}
        lines += compare(bound, row["theorem_bound"], absolute=1e-9)
    # The tensor operators, applied from the leaves up, are the same backups.
    for how, wanted in (("mean", "v_uniform"), ("max", "v_star")):
        lines += compare(_backed_up(tree, how), float(row[wanted]), absolute=1e-12, path=how)
    return lines


def _backed_up(tree: trees.Tree, how: Any) -> float:
    if isinstance(tree, Fraction):
        return float(tree)
    q = torch.tensor([_backed_up(subtree, how) for subtree in tree], dtype=torch.float64)
    return float(back_up(q, torch.ones_like(q), how))


def _didactic(row: Any, data: Path) -> list[str]:
    wins, letters = {tuple(word) for word in row["wins"]}, sorted({c for word in row["wins"] for c in word})

    def grown(word: tuple[str, ...]) -> trees.Tree:
        if len(word) == len(row["wins"][0]):
            return Fraction(int(word in wins))
        return [grown((*word, letter)) for letter in letters]

    tree = grown(())
    got = {
        "wins": row["wins"],
        "v_uniform": float(trees.uniform_value(tree)),
        "root_q": [float(value) for value in next(trees.states(tree)).uniform],
        "softmax_value": {rho: trees.softmax_value(tree, float(rho)) for rho in row["softmax_value"]},
    }
    return compare(got, row, absolute=1e-9)


CHECKS = {
    "rover_loss": each_row(_rover_loss),
    "centred_reward": each_row(_centred_reward),
    "tabular_tree": each_row(_tabular_tree),
    "didactic_4x4x4": each_row(_didactic),
}
