"""Digi-Q and DigiRL: losses, policy extraction, returns, labels and whole critic steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agentq.objectives.best_of_n import clipped_token_logprobs, extract, weighted_likelihood_loss
from agentq.objectives.critic_step import StepReport, StepSettings, TransitionBatch, critic_step
from agentq.objectives.digirl import step_critic_loss, step_weights
from agentq.objectives.monte_carlo import monte_carlo_loss
from agentq.objectives.pointwise import head_values, two_class_logit
from agentq.objectives.returns import discounted_returns, stack_frames
from agentq.objectives.screen_change import screen_changed, screen_difference
from agentq.objectives.td import td_loss
from tests.conformance.runner import compare, each_row

_compare = partial(compare, absolute=1e-5, relative=1e-5)
_HEADS = ("q1", "q2", "v1", "v2")


def _tensor(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def _outputs(values: Tensor, metric: str) -> Tensor:
    """(..., 1) -> (...) for regression, (..., 2) class logits -> (...) logit of class 1."""
    return two_class_logit(values) if metric == "classification" else values.squeeze(-1)


def _heads(leaves: Mapping[str, Tensor], names: Sequence[str], metric: str) -> Tensor:
    return torch.stack([_outputs(leaves[name], metric) for name in names])


# ---------------------------------------------------------------- critic_loss


def _critic_losses(row: Mapping[str, Any], leaves: Mapping[str, Tensor], compat: Any) -> dict[str, Tensor]:
    metric = row["metric"]
    q, v = _heads(leaves, ("q1", "q2"), metric), _heads(leaves, ("v1", "v2"), metric)
    if row["estimator"] == "mc":
        returns = _tensor(row["mc_return"])
        losses = [monte_carlo_loss(x, returns, metric=metric, compat=compat) for x in (q, v)]
    else:
        targets = {name: _tensor(row[name]) for name in row if name.startswith("target_")}
        result = td_loss(
            q,
            v,
            _heads(targets, ("target_q1_at_s_abackup", "target_q2_at_s_abackup"), metric),
            _heads(targets, ("target_v1_at_snext", "target_v2_at_snext"), metric),
            _tensor(row["reward"]),
            _tensor(row["done"]),
            gamma=row["gamma"],
            metric=metric,
            compat="digi_q",
        )
        losses = [result.q, result.v]
    flat = torch.cat(losses)
    return {f"{name}_loss": flat[index] for index, name in enumerate(_HEADS)}


def _critic_results(row: Mapping[str, Any], compat: Any, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Losses, gradients of their sum and the logged diagnostics; only the keys that the reference lists."""
    leaves = {name: _tensor(row[name]).requires_grad_() for name in _HEADS}
    losses = _critic_losses(row, leaves, compat)
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    results: dict[str, Any] = {name: loss.item() for name, loss in losses.items()}
    results["total"] = total.item()
    returns = _tensor(row["mc_return"])
    for name, leaf in leaves.items():
        results[f"grad_{name}"] = leaf.grad
        if leaf.shape[1] == 1:
            diagnostic = monte_carlo_loss(leaf.detach().T, returns)
            results[f"{name}_mc_return_mse"] = diagnostic.item()
    unknown = set(wanted) - set(results)
    assert not unknown, f"the reference lists results that are not computed here: {sorted(unknown)}"
    return {name: results[name] for name in wanted}


def _critic_loss(row: Mapping[str, Any], data: Path) -> list[str]:
    lines = _compare(_critic_results(row, "digi_q", row["out"]), row["out"])
    if "out_fixed" in row:
        lines += _compare(_critic_results(row, None, row["out_fixed"]), row["out_fixed"])
    return lines


# ---------------------------------------------------------------- actor_loss, token_logprob


def _actor_loss(row: Mapping[str, Any], data: Path) -> list[str]:
    metric, order = row["metric"], row["candidate_order"]

    def values(name: str) -> Tensor:
        return head_values(_outputs(_tensor(row[name]), metric), metric)

    q = torch.stack([values("q1"), values("q2")])[:, order].transpose(1, 2)  # (2, B, N) in scoring order
    v = torch.stack([values("v1"), values("v2")])
    valid = torch.tensor(row["valid"])[:, order]
    picked = extract(
        q,
        v,
        valid,
        rule=row["loss_type"],
        threshold={"general": 0.10, "webshop": 0.05}[row["task_set"]],
        beta=row["awr_beta"],
        multiplier=row["pg_multiplier"],
        compat="digi_q",
    )
    results = {
        "chosen_candidate": [order[index] for index in picked.chosen.tolist()],
        "weight": picked.weight,
        "loss": weighted_likelihood_loss(_tensor(row["token_logp"]), picked.weight).item(),
        "adv_mean": picked.weight.mean().item(),
        "adv_max": picked.weight.max().item(),
    }
    return _compare(results, row["out"])


def _token_logprob(row: Mapping[str, Any], data: Path) -> list[str]:
    got = clipped_token_logprobs(
        _tensor(row["logits"]), torch.tensor(row["labels"]), torch.tensor(row["mask"])
    )
    lines = _compare(got, row["out"])
    return lines + _compare(got.sum(dim=1), row["sum_per_row"])


# ---------------------------------------------------------------- returns, labels


def _returns(row: Mapping[str, Any], data: Path) -> list[str]:
    stacked, following = stack_frames(_tensor(row["image_features"]), _tensor(row["last_next"]))
    got = {
        "mc_return": discounted_returns(_tensor(row["reward"]), row["gamma"]),
        "stacked": stacked,
        "next_stacked": following,
    }
    return _compare(got, row["out"])


def _screen_change(row: Mapping[str, Any], data: Path) -> list[str]:
    before, after = torch.tensor(row["before"]), torch.tensor(row["after"])
    lines = _compare(screen_difference(before, after), row["mse"])
    return lines + compare("Yes" if screen_changed(before, after) else "No", row["label"])


# ---------------------------------------------------------------- trainer_step


class _LinearCritic(nn.Module):
    """q_i = W [image, q_rep] + b, v_i = W image + b, with the names of the vector file."""

    def __init__(self, image: int, representation: int, values: Mapping[str, Sequence[float]]) -> None:
        super().__init__()
        widths = {"q1": image + representation, "q2": image + representation, "v1": image, "v2": image}
        self.heads = nn.ModuleDict({name: nn.Linear(width, 1) for name, width in widths.items()})
        for name, parameter in self.heads.named_parameters():
            parameter.data.copy_(_tensor(values[name]).reshape(parameter.shape))

    def q(self, state_action: Tensor) -> Tensor:
        return torch.cat([self.heads["q1"](state_action), self.heads["q2"](state_action)], dim=1).T

    def v(self, state: Tensor) -> Tensor:
        return torch.cat([self.heads["v1"](state), self.heads["v2"](state)], dim=1).T

    def flat(self) -> dict[str, list[float]]:
        return {name: p.detach().flatten().tolist() for name, p in self.heads.named_parameters()}


def _micro_batches(row: Mapping[str, Any], order: Sequence[int]) -> list[TransitionBatch]:
    size = row["batch_size"]
    return [
        _batch([row["transitions"][i] for i in order[at : at + size]]) for at in range(0, len(order), size)
    ]


def _batch(transitions: Sequence[Mapping[str, Any]]) -> TransitionBatch:
    def column(name: str) -> Tensor:
        return _tensor([transition[name] for transition in transitions])

    image = column("image_features")
    return TransitionBatch(
        state=image,
        state_action=torch.cat([image, column("q_rep_out")], dim=1),
        next_state=column("next_image_features"),
        reward=column("reward"),
        terminated=column("done"),
    )


def _train(row: Mapping[str, Any], settings: StepSettings) -> tuple[_LinearCritic, _LinearCritic, StepReport]:
    dims = row["dims"]
    online = _LinearCritic(dims["image"], dims["q_rep"], row["critic_init"])
    target = _LinearCritic(dims["image"], dims["q_rep"], row["target_init"]).requires_grad_(False)
    optimizer = torch.optim.Adam(
        online.parameters(), lr=row["lr"], betas=tuple(row["adam"]["betas"]), eps=row["adam"]["eps"]
    )
    report: StepReport | None = None
    for order in row["sample_order_per_epoch"]:
        batches = _micro_batches(row, order)
        assert len(batches) == row["grad_accum_steps"], "an epoch is one optimiser step"
        report = critic_step(online, target, optimizer, batches, settings)
    assert report is not None
    return online, target, report


def _trainer_step(row: Mapping[str, Any], data: Path) -> list[str]:
    released = StepSettings.digi_q(gamma=row["gamma"], tau=row["tau"], max_grad_norm=row["max_grad_norm"])
    online, target, report = _train(row, released)
    lines = compare(online.flat(), row["out"]["critic"], absolute=1e-6, path="critic")
    lines += compare(target.flat(), row["out"]["target"], absolute=1e-6, path="target")
    got = {
        "last_epoch_mean_q1_loss": report.q_losses[:, 0].mean().item(),
        "last_epoch_mean_v1_loss": report.v_losses[:, 0].mean().item(),
    }
    lines += _compare(got, {name: row["out"][name] for name in got})

    corrected = StepSettings(row["gamma"], row["tau"], row["max_grad_norm"], clip="once", bootstrap="own")
    once = _train(row, corrected)[0].flat()
    differs = bool(compare(once, row["out"]["critic"], absolute=1e-6))
    expected = row["grad_accum_steps"] > 1 and row["max_grad_norm"] < 1
    return lines + compare(differs, expected, path="clip once differs")


# ---------------------------------------------------------------- digirl_losses


def _digirl(row: Mapping[str, Any], data: Path) -> list[str]:
    leaves = {name: _tensor(row[name]).requires_grad_() for name in ("v1", "v2", "nv1", "nv2")}
    v, next_v = (_heads(leaves, names, "classification") for names in (("v1", "v2"), ("nv1", "nv2")))
    returns, reward = _tensor(row["mc_return"]), _tensor(row["reward"])
    losses = step_critic_loss(v, next_v, returns)
    losses.total.backward()
    weight = step_weights(v, next_v, reward, returns)
    got = {
        "v1_loss": losses.current[0].item(),
        "v2_loss": losses.current[1].item(),
        "grads": {name: leaf.grad for name, leaf in leaves.items()},
        "weight": weight,
        "pg_loss": weighted_likelihood_loss(_tensor(row["token_logp"]), weight).item(),
    }
    return _compare(got, row["out"])


CHECKS = {
    "critic_loss": each_row(_critic_loss),
    "actor_loss": each_row(_actor_loss),
    "token_logprob": each_row(_token_logprob),
    "returns_framestack": each_row(_returns),
    "screen_change_label": each_row(_screen_change),
    "trainer_step": each_row(_trainer_step),
    "digirl_losses": each_row(_digirl),
}
