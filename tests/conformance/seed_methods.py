"""Losses, formulas and choices of the seed methods that are built.

IQL, ICVF (V-PTR), counterfactual CQL, Symphony, PRDC, DQC and JOWA's beam whole; of EXPO the choice among
candidates, of the planning file the reference-policy choice. Rows of other
functions fail and say that they are not built.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agentq.critics.base import Scores
from agentq.critics.support import nearest, prdc_keys
from agentq.objectives.aggregation import aggregate
from agentq.objectives.cfcql import cfcql_loss
from agentq.objectives.chunking import (
    chunk_critic_loss,
    chunk_starts,
    distillation_loss,
    goal_chunks,
    implicit_value_loss,
)
from agentq.objectives.icvf import icvf_loss
from agentq.objectives.iql import awr_policy_loss, awr_weights, expectile_loss
from agentq.objectives.prdc import prdc_loss
from agentq.objectives.rover import candidate_backup
from agentq.objectives.symphony import (
    asymmetric_loss,
    fade_golden,
    fade_tanh_pi,
    fade_tanh_square,
    symmetric_loss,
    temporal_advantage,
)
from agentq.search.beam import BeamSearch, BeamSettings
from agentq.search.forest import Forest
from agentq.search.worlds import State
from agentq.selectors.best_of_n import BestOfN
from agentq.selectors.reference import Reference
from agentq.types import Candidate
from tests.conformance.runner import compare, each_row

_Compute = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def _tensor(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _row_check(functions: Mapping[str, _Compute]) -> Callable[[Any, Path], list[str]]:
    """Differences of rows that name the function their inputs go through."""

    def verify(row: Any, data: Path) -> list[str]:
        return compare(functions[row["fn"]](row["inputs"]), row["expected"], absolute=1e-8, relative=1e-7)

    def known(row: Any, data: Path) -> list[str]:
        if row["fn"] not in functions:
            return [f"not built: {row['fn']}"]
        return verify(row, data)

    return known


def _iql(inputs: Mapping[str, Any]) -> dict[str, Any]:
    q = torch.minimum(_tensor(inputs["q1"]), _tensor(inputs["q2"]))
    v = _tensor(inputs["v"]).requires_grad_()
    loss = expectile_loss(q, v, inputs["expectile"])
    loss.backward()
    weight = awr_weights(q, v, inputs["temperature"])
    actor = awr_policy_loss(_tensor(inputs["log_prob"]), weight)
    return {"value_loss": loss.item(), "grad_v": v.grad, "awr_actor_loss": actor.item()}


def _icvf(inputs: Mapping[str, Any]) -> dict[str, Any]:
    v = _tensor(inputs["V_s_g_z"]).requires_grad_()
    loss = icvf_loss(
        v,
        _tensor(inputs["tV_sn_g_z"]),
        _tensor(inputs["tV_sn_z_z"]),
        _tensor(inputs["tV_s_z_z"]),
        _tensor(inputs["rewards"]),
        _tensor(inputs["masks"]),
        _tensor(inputs["desired_rewards"]),
        _tensor(inputs["desired_masks"]),
        gamma=inputs["discount"],
        expectile=inputs["expectile"],
        pessimistic=inputs["min_q"],
        intention=not inputs["no_intent"],
    )
    loss.backward()
    return {"loss": loss.item(), "grad_V_s_g_z": v.grad}


def _cfcql(inputs: Mapping[str, Any]) -> dict[str, Any]:
    q = _tensor(inputs["q"]).requires_grad_()
    loss = cfcql_loss(
        q,
        _tensor(inputs["target_q"]),
        torch.tensor(inputs["avail_actions"]),
        torch.tensor(inputs["actions"]),
        _tensor(inputs["reward"]),
        _tensor(inputs["terminated"]),
        _tensor(inputs["filled"]),
        alpha=inputs["alpha"],
        gamma=inputs["gamma"],
        td_lambda=inputs["td_lambda"],
        behaviour=_tensor(inputs["behaviour_prob"]) if inputs["moderate_lambda"] else None,
        temperature=inputs["softmax_temp"],
    )
    loss.total.backward()
    return {
        "cql_penalty_unweighted": loss.penalty.item(),
        "negative_sampling_mean": loss.negative.item(),
        "q_taken_mean": loss.taken.item(),
        "target_mean": loss.target.item(),
        "loss_td": loss.td.item(),
        "total": loss.total.item(),
        "grad_q": q.grad,
    }


def _fade_tanh_square(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"probs_oldest_first": fade_tanh_square(inputs["n"], inputs["fade_factor"])}


def _fade_tanh_pi(inputs: Mapping[str, Any]) -> dict[str, Any]:
    weights = fade_tanh_pi(inputs["n"])
    return {"weights": weights, "probs_oldest_first": weights / weights.sum()}


def _symphony_losses(inputs: Mapping[str, Any]) -> dict[str, Any]:
    error, next_q = _tensor(inputs["td_error"]), _tensor(inputs["q_next_target"])
    return {
        "rehse": symmetric_loss(error).item(),
        "rehae_td": asymmetric_loss(error).item(),
        "temporal_advantage": temporal_advantage(next_q, _tensor(inputs["q_next_ema"])).item(),
    }


def _symphony(row: Any, data: Path) -> list[str]:
    if row["fn"] != "fade_golden":
        return _verify_symphony(row, data)
    probabilities, expected = fade_golden(row["inputs"]["n"]), row["expected"]
    lines = compare(probabilities, expected["float64_formula_probs"], absolute=1e-8, relative=1e-7)
    return lines + compare(probabilities, expected["official_float16_probs"], absolute=2e-3)


_verify_symphony = _row_check(
    {
        "fade_tanh_square": _fade_tanh_square,
        "fade_tanh_pi_e": _fade_tanh_pi,
        "symphony_losses": _symphony_losses,
    }
)


def _chunk_critic(inputs: Mapping[str, Any]) -> dict[str, Any]:
    q = _tensor(inputs["chunk_q_logits"]).requires_grad_()
    loss = chunk_critic_loss(
        q,
        _tensor(inputs["value_logit_next"]),
        _tensor(inputs["reward"]),
        _tensor(inputs["mask"]),
        _tensor(inputs["horizon"]),
        inputs["discount"],
    ).mean()
    loss.backward()
    return {"loss": loss.item(), "grad_chunk_q_logits": q.grad}


def _action_critic(inputs: Mapping[str, Any]) -> dict[str, Any]:
    q = _tensor(inputs["action_q_logits"]).requires_grad_()
    v = _tensor(inputs["value_logit"]).requires_grad_()
    valid = _tensor(inputs["valid"])
    critic = distillation_loss(
        q, _tensor(inputs["chunk_q_logits"]), valid, inputs["kappa_d"], inputs["distill_method"]
    ).mean()
    value = implicit_value_loss(
        v,
        _tensor(inputs["target_action_q_logits"]),
        valid,
        inputs["kappa_b"],
        inputs["implicit_backup_type"],
        inputs["q_agg"],
    )
    (critic + value).backward()
    return {
        "total": (critic + value).item(),
        "critic_loss": critic.item(),
        "value_loss": value.item(),
        "grad_action_q_logits": q.grad,
        "grad_value_logit": v.grad,
    }


def _chunk_batch(inputs: Mapping[str, Any]) -> dict[str, Any]:
    last, horizon = torch.tensor(inputs["terminals"]), inputs["backup_horizon"]
    start, goal = torch.tensor(inputs["start_index"]), torch.tensor(inputs["goal_index"])
    rows = goal_chunks(last, start, goal, horizon, inputs["discount"])
    return {
        "next_index": rows.next_index,
        "effective_horizon": rows.horizon,
        "reward": rows.reward,
        "mask": rows.mask,
        "chunk_action_index": rows.actions,
        "valid_start_indices": chunk_starts(last, horizon),
    }


def _candidates(count: int, prior: Sequence[float] | None = None) -> list[Candidate]:
    logprobs = [0.0] * count if prior is None else [math.log(p) for p in prior]
    return [Candidate(str(i), str(i), None, (i,), (logprobs[i],)) for i in range(count)]


def _best_of_n(inputs: Mapping[str, Any]) -> dict[str, Any]:
    heads = np.array(inputs["q"])  # (K, N) logits
    p = BestOfN(bound=inputs["q_agg"]).probabilities(
        Scores(heads.mean(axis=0), heads), _candidates(heads.shape[1])
    )
    return {"index": int(p.argmax())}


def _on_the_fly(inputs: Mapping[str, Any]) -> dict[str, Any]:
    heads = np.array(inputs["q_ensemble_by_candidate"])[inputs["subset"]]
    p = BestOfN(bound="min").probabilities(Scores(heads.mean(axis=0), heads), _candidates(heads.shape[1]))
    target = candidate_backup(
        _tensor([inputs["reward"]]),
        _tensor([1 - inputs["mask"]]),
        aggregate(_tensor(heads), "min")[None],
        gamma=inputs["discount"],
        how="max",
    )
    index = int(p.argmax())
    return {"index": index, "is_edit": index >= inputs["n_base"], "target": target.item()}


def _prdc(inputs: Mapping[str, Any]) -> dict[str, Any]:
    beta = inputs["beta"]
    logged = np.array(inputs["dataset_action"])
    keys = prdc_keys(np.array(inputs["dataset_state"]), logged, beta)
    action = _tensor(inputs["policy_action"]).requires_grad_()
    queries = prdc_keys(np.array(inputs["state"]), action.detach().numpy(), beta)
    found = nearest(keys, queries, rank=inputs["k"])
    q = action @ _tensor(inputs["q_linear_w"]) + inputs["q_const"]
    loss = prdc_loss(q, action, _tensor(logged[found.index]), alpha=inputs["alpha"])
    loss.total.backward()
    return {
        "neighbour_index": found.index,
        "neighbour_distance": found.distance,
        "lambda_": loss.weight.item(),
        "dc_loss": loss.constraint.item(),
        "actor_loss": loss.value.item(),
        "combined_loss": loss.total.item(),
        "grad_policy_action": action.grad,
    }


def _reference(q: Sequence[float], prior: Sequence[float], eta: float) -> tuple[float, np.ndarray]:
    selector, scores, candidates = (
        Reference(eta, "logprob"),
        Scores(np.array(q)),
        _candidates(len(q), prior),
    )
    return selector.value(scores, candidates), selector.probabilities(scores, candidates)


def _soft_backup(inputs: Mapping[str, Any]) -> dict[str, Any]:
    value, policy = _reference(inputs["q"], inputs["prior"], inputs["eta"])
    divergence = float((policy * np.log(policy / np.array(inputs["prior"]))).sum())
    return {"value": value, "policy": policy, "kl_to_prior": divergence}


def _soft_tree(inputs: Mapping[str, Any]) -> dict[str, Any]:
    children = zip(inputs["child_reward"], inputs["child_prior"], strict=True)
    values = np.array([_reference(q, prior, inputs["eta"])[0] for q, prior in children])
    root = np.array(inputs["root_reward"]) + inputs["gamma"] * values
    value, policy = _reference(root.tolist(), inputs["root_prior"], inputs["eta"])
    return {"root_q": root, "root_value": value, "root_policy": policy}


class _Table:
    """A table world (next state, reward and Q by state and action), its policy and its critic."""

    def __init__(self, inputs: Mapping[str, Any]) -> None:
        self.inputs = inputs

    def at(self, number: int, reward: float, actions: tuple[str, ...]) -> State:
        return State(
            ({"role": "user", "content": str(number)},), reward=reward, actions=actions, handle=number
        )

    def root(self, task: str, seed: int) -> State:
        return self.at(self.inputs["start"], 0.0, ())

    def step(self, state: State, action: str) -> State:
        following = self.inputs["next_state"][state.handle][int(action)]
        return self.at(following, self.inputs["reward"][state.handle][int(action)], (*state.actions, action))

    def propose(self, batch: Any, n: int, seeds: Any, admissible: Any = None) -> list[list[Candidate]]:
        return [[Candidate(str(a), str(a)) for a in range(len(self.inputs["Q"][0]))] for _ in batch]

    def score(self, batch: Any) -> list[Any]:
        rows = [np.array(self.inputs["Q"][int(messages[0]["content"])]) for messages, _ in batch]
        return [row[[int(c.action) for c in some]] for row, (_, some) in zip(rows, batch, strict=True)]

    def score_heads(self, batch: Any) -> list[Scores]:
        return [Scores(q) for q in self.score(batch)]


def _beam_plan(inputs: Mapping[str, Any]) -> dict[str, Any]:
    table = _Table(inputs)
    found: dict[str, int] = {}
    for name, depth in (("action", inputs["horizon"]), ("greedy_action", 0)):
        settings = BeamSettings(inputs["beam_width"], depth, gamma=inputs["gamma"])
        search = BeamSearch(table, table.root("", 0), "", 0, settings)
        list(Forest(table, table).run([search]))
        found[name] = int(str(search.choice.action))
    return found


CHECKS = {
    "dqc": each_row(
        _row_check(
            {
                "chunk_critic_loss": _chunk_critic,
                "action_critic_and_value_loss": _action_critic,
                "best_of_n": _best_of_n,
                "chunk_batch": _chunk_batch,
            }
        )
    ),
    "beam_plan": each_row(_row_check({"beam_plan": _beam_plan})),
    "iql_icvf": each_row(_row_check({"iql_value_and_awr": _iql, "icvf_loss": _icvf})),
    "cfcql": each_row(_row_check({"cfcql_loss": _cfcql})),
    "symphony": each_row(_symphony),
    "prdc": each_row(_row_check({"prdc_actor_step": _prdc})),
    "on_the_fly": each_row(_row_check({"on_the_fly_target": _on_the_fly})),
    "planning_explain": each_row(
        _row_check({"reference_soft_backup": _soft_backup, "reference_soft_tree": _soft_tree})
    ),
}
