"""Step-level Q: selection scores, walks, back-up, whole searches, preference pairs, losses and read-outs.

Made by running the code of George-Chia/llm-agents-with-q and lapisrocks/LanguageAgentTreeSearch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from agentq.objectives.dpo import PairLogprobs, dpo_losses, implicit_rewards, read_q, token_logprobs
from agentq.search.forest import Forest
from agentq.search.mcts import TreeSearch
from agentq.search.pairs import PairSettings, tree_pairs
from agentq.search.settings import SearchSettings
from agentq.search.tree import Node, Tree
from agentq.search.walk import backup, select, uct
from agentq.search.worlds import State
from agentq.types import Candidate, Messages
from tests.conformance.runner import Check, compare, each_row


def _settings(row: Mapping[str, Any], **options: Any) -> SearchSettings:
    return SearchSettings(variant=row["variant"], uct="official", **options)


def _nodes(records: Sequence[Mapping[str, Any]]) -> dict[int, Node]:
    nodes: dict[int, Node] = {}
    for record in records:
        parent = nodes[record["parent"]] if record["parent"] is not None else None
        node = Node(
            State(), parent, depth=record["depth"], visits=record["visits"], value=record["value"],
            reward=record["reward"], terminal=record["is_terminal"],
        )  # fmt: skip
        if parent is not None:
            parent.children.append(node)
        nodes[record["id"]] = node
    return nodes


def _uct(row: Any, data: Path) -> list[str]:
    parent = Node(State(), visits=row["parent_visits"])
    node = Node(State(), parent, visits=row["visits"], value=row["value"])
    return compare(uct(node, _settings(row)), row["uct"])


def _select(row: Any, data: Path) -> list[str]:
    nodes = _nodes(row["nodes"])
    numbers = {id(node): number for number, node in nodes.items()}
    found = select(nodes[0], _settings(row))
    children = {
        str(number): [numbers[id(child)] for child in node.children]
        for number, node in nodes.items()
        if node.children or str(number) in row["children_after"]
    }
    selected = None if found is None else numbers[id(found)]
    return compare([selected, children], [row["selected"], row["children_after"]])


def _backprop(row: Any, data: Path) -> list[str]:
    nodes = _nodes(row["nodes"])
    for number, value in row["ops"]:
        backup(nodes[number], value, _settings(row).rules)
    got = {str(number): {"visits": node.visits, "value": node.value} for number, node in nodes.items()}
    return compare(got, row["after"])


class _Scripted:
    """A world whose states are paths of action numbers, and the policy of the vectors."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.rewards: Mapping[str, float] = row["terminal_rewards"]
        self.choices: Mapping[str, int] = row["rollout_choice"]
        self.branching: int = row["branching"]

    def root(self, task: str, seed: int) -> State:
        return State(messages=({"role": "user", "content": ""},))

    def step(self, state: State, action: str) -> State:
        actions = (*state.actions, action)
        path = "-".join(actions)
        ended = path in self.rewards
        message = {"role": "user", "content": path}
        return State((message,), reward=self.rewards.get(path, 0.0), ended=ended, actions=actions)

    def propose(
        self,
        batch: Sequence[Messages],
        n: int,
        seeds: Sequence[int],
        admissible: Sequence[Sequence[str] | None] | None = None,
    ) -> list[list[Candidate]]:
        numbers = [range(n) if n > 1 else [self.choices.get(m[0]["content"], 0)] for m in batch]
        return [[Candidate(str(k), str(k)) for k in some] for some in numbers]


def _search(row: Any, data: Path) -> list[str]:
    world = _Scripted(row)
    settings = _settings(
        row,
        iterations=row["iterations"],
        width=row["branching"],
        max_depth=row["max_depth"],
        early_stop="disable_early_stop" not in row["flags"],
        rollout_early_stop="enable_rollout_early_stop" in row["flags"],
    )
    (search,) = Forest(world).run([TreeSearch(world, "", 0, settings)])
    tree = search.tree
    if row["status"] == "hang":  # the reference never ends; what matters here is that this line is reached
        return compare(tree.stopped, "exhausted")
    got = {
        "tree": [
            {
                "path": [int(action) for action in node.state.actions],
                "visits": node.visits,
                "value": node.value,
                "reward": node.reward,
                "terminal": node.terminal,
                "depth": node.depth,
            }
            for node in tree.root.preorder()
        ],
        "best_trajectory_index_list": tree.best_path(),
        "best_child_reward": tree.best_reward(),
        "best_reward_incl_rollouts": tree.best_reward(rollouts=True),
    }
    return compare(got, {name: row[name] for name in got})


def _dpo_loss(row: Any, data: Path) -> list[str]:
    def number(name: str) -> torch.Tensor:
        return torch.tensor([row[name]], dtype=torch.float64)

    pairs = PairLogprobs(
        number("policy_chosen_logps"), number("policy_rejected_logps"), number("ref_chosen_logps"),
        number("ref_rejected_logps"), number("n_chosen_tokens"), number("n_rejected_tokens"),
    )  # fmt: skip
    loss = partial(dpo_losses, pairs, beta=row["beta"])
    smooth = partial(loss, label_smoothing=0.1)
    losses = {
        "sigmoid": {"official": loss(compat="official"), "trl_1_16": loss()},
        "hinge": {"official": loss(loss="hinge", compat="official"), "trl_1_16": loss(loss="hinge")},
        "ipo": {"official": loss(loss="ipo", compat="official"), "trl_1_16": loss(loss="ipo")},
        "sigmoid_label_smoothing_0.1": {
            "official": smooth(compat="official"),
            "trl_sigmoid_ignores_it": smooth(),
            "trl_robust": smooth(loss="robust"),
        },
        "sigmoid_norm": {"trl_1_16": loss(loss="sigmoid_norm")},
    }
    chosen, rejected = implicit_rewards(pairs, row["beta"])
    got = {
        "chosen_reward": chosen.item(),
        "rejected_reward": rejected.item(),
        "losses": {name: {k: v.item() for k, v in some.items()} for name, some in losses.items()},
    }
    return compare(got, {name: row[name] for name in got}, absolute=1e-9)


def _q_read(row: Any, data: Path) -> list[str]:
    differences: list[str] = []
    read: dict[str, list[float]] = {}
    start = len(row["prompt"])
    for candidate in row["candidates"]:
        tokens = torch.tensor([candidate["action"]])
        end = start + tokens.shape[1] - 1
        policy, reference = (
            torch.tensor([candidate[name][start - 1 : end]], dtype=torch.float64)
            for name in ("policy_logits", "ref_logits")
        )
        q = partial(read_q, policy, reference, tokens, torch.ones_like(tokens))
        values = {
            "q_hotpot_mean": q(read_out="official_logit_diff").item(),
            "q_webshop_exp_mean": q(read_out="official_logit_diff").exp().item(),
            "q_sum": q(read_out="official_logit_diff").item() * tokens.shape[1],
            "implicit_reward_beta_sum": q(read_out="sum_logratio", beta=row["beta"]).item(),
            "logratio_mean": q(read_out="mean_logratio").item(),
            "policy_logp_sum": token_logprobs(policy, tokens).sum().item(),
            "ref_logp_sum": token_logprobs(reference, tokens).sum().item(),
        }
        wanted = {name: candidate[name] for name in values}
        differences += compare(values, wanted, absolute=1e-6)
        for name, value in values.items():
            read.setdefault(name, []).append(value)
    best = {name: max(range(len(values)), key=values.__getitem__) for name, values in read.items()}
    got = [best["q_hotpot_mean"], best["implicit_reward_beta_sum"], best["logratio_mean"]]
    names = ("argmax_official_code", "argmax_implicit_reward", "argmax_logratio_mean")
    return differences + compare(got, [row[name] for name in names])


def _preference_pairs(row: Any, data: Path) -> list[str]:
    turns = (("user", "INST"), ("assistant", "OK"), ("user", "TASK"))
    nodes: dict[tuple[int, ...], Node] = {}
    for record in row["tree"]:
        path = tuple(record["path"])
        start = tuple({"role": role, "content": text} for role, text in turns) if not path else ()
        parent = nodes[path[:-1]] if path else None
        node = Node(
            State(start, observation=f"o{'-'.join(map(str, path))}"), parent, text=f"a{path[-1]}" if path else "",
            visits=record["visits"], value=record["value"], reward=record["reward"],
            terminal=record["terminal"], depth=record["depth"],
        )  # fmt: skip
        if parent is not None:
            parent.children.append(node)
        nodes[path] = node
    tree = Tree("", 0, nodes[()])
    names = {"user": "human", "assistant": "gpt"}
    pairs = [
        {
            "n_prompt_turns": len(pair.prompt),
            "prompt": [[names[turn["role"]], turn["content"]] for turn in pair.prompt],
            "chosen": pair.chosen.text,
            "rejected": pair.rejected.text,
        }
        for pair in tree_pairs(tree, PairSettings(prompt="transcript"))
    ]
    return compare([tree.best_path(), pairs], [row["best_trajectory_index_list"], row["pairs"]])


CHECKS: dict[str, Check] = {
    "uct": each_row(_uct),
    "select": each_row(_select),
    "backprop": each_row(_backprop),
    "mcts_search": each_row(_search),
    "preference_pairs": each_row(_preference_pairs),
    "dpo_loss": each_row(_dpo_loss),
    "q_read": each_row(_q_read),
}
