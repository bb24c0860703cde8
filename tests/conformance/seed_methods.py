"""Losses and formulas of the seed methods: IQL, ICVF (V-PTR) and counterfactual CQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agentq.objectives.cfcql import cfcql_loss
from agentq.objectives.icvf import icvf_loss
from agentq.objectives.iql import awr_policy_loss, awr_weights, expectile_loss
from tests.conformance.runner import Check, compare, each_row

_Verify = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def _tensor(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _functions(functions: Mapping[str, _Verify], *, absolute: float = 1e-8, relative: float = 1e-7) -> Check:
    """A check for files whose rows name the function that their inputs go through."""

    def verify(row: Any, data: Path) -> list[str]:
        return compare(
            functions[row["fn"]](row["inputs"]), row["expected"], absolute=absolute, relative=relative
        )

    return each_row(verify)


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


CHECKS = {
    "iql_icvf": _functions({"iql_value_and_awr": _iql, "icvf_loss": _icvf}),
    "cfcql": _functions({"cfcql_loss": _cfcql}),
}
