"""Losses and formulas of the seed methods: IQL, ICVF (V-PTR), counterfactual CQL, Symphony, JOWA's beam."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from agentq.critics.base import Scores
from agentq.objectives.cfcql import cfcql_loss
from agentq.objectives.icvf import icvf_loss
from agentq.objectives.iql import awr_policy_loss, awr_weights, expectile_loss
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
from agentq.types import Candidate
from tests.conformance.runner import compare, each_row

_Compute = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def _tensor(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _row_check(functions: Mapping[str, _Compute]) -> Callable[[Any, Path], list[str]]:
    """Differences of rows that name the function their inputs go through."""

    def verify(row: Any, data: Path) -> list[str]:
        return compare(functions[row["fn"]](row["inputs"]), row["expected"], absolute=1e-8, relative=1e-7)

    return verify


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
    "beam_plan": each_row(_row_check({"beam_plan": _beam_plan})),
    "iql_icvf": each_row(_row_check({"iql_value_and_awr": _iql, "icvf_loss": _icvf})),
    "cfcql": each_row(_row_check({"cfcql_loss": _cfcql})),
    "symphony": each_row(_symphony),
}
