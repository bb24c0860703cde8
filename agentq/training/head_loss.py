"""The losses of value heads as one module: heads, their slow copy, and a batch in, scalars out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from agentq.critics.heads import QHeads
from agentq.errors import ConfigError
from agentq.objectives.cql import cql_penalty
from agentq.objectives.iql import iql_loss
from agentq.objectives.monte_carlo import monte_carlo_loss
from agentq.objectives.pointwise import Metric, head_losses
from agentq.objectives.polyak import polyak_update, target_copy
from agentq.objectives.ranking import advantage_loss, listwise_ranking_loss, pairwise_ranking_loss
from agentq.objectives.td import CriticLosses, td_loss
from agentq.training.critic_data import HeadBatch

Ranking = Literal["advantage", "pairwise", "listwise"]


@dataclass(frozen=True, slots=True)
class ObjectiveSettings:
    """What the heads learn: one of three objectives on logged steps, plus terms over candidate groups."""

    name: Literal["mc", "td", "iql"] = "mc"
    weight: float = 1.0  # of the objective on logged steps; 0: the group terms alone
    gamma: float = 0.95  # discount, td and iql
    polyak: float = 0.005  # share of the online weights that enters the slow copy each step
    bootstrap: Literal["min", "own"] = "min"  # td: pessimistic over heads, or head i from head i
    expectile: float = 0.8  # iql
    binary: bool = False  # mc with logit heads: the label is 1[return > 0] instead of the return
    label_weight: float = 0.0  # fit of labelled candidates (snapshot continuations)
    rank_weight: float = 0.0  # within-state contrast of labelled candidates
    ranking: Ranking = "advantage"
    temperature: float = 0.1  # of the labels, listwise ranking; unit: label
    cql_weight: float = 0.0  # push unlogged candidates down, the logged one up
    groups_per_batch: int = 32  # candidate groups beside each batch of transitions
    compat: Literal["", "digi_q"] = ""  # the released Digi-Q behaviour, defects included

    def __post_init__(self) -> None:
        if self.name not in ("mc", "td", "iql"):
            raise ConfigError(f"objective name={self.name!r}: expected mc, td or iql.")
        if not 0.0 <= self.gamma <= 1.0:
            raise ConfigError(f"gamma={self.gamma}: expected a number in [0, 1].")
        if not 0.0 < self.polyak <= 1.0:
            raise ConfigError(f"polyak={self.polyak}: expected a number in (0, 1].")
        for name in ("weight", "label_weight", "rank_weight", "cql_weight"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name}={getattr(self, name)}: expected 0 or more.")

    @property
    def uses_groups(self) -> bool:
        """Whether a term over candidate groups is switched on."""
        return max(self.label_weight, self.rank_weight, self.cql_weight) > 0

    @property
    def bootstraps(self) -> bool:
        """Whether targets come from the next state's value."""
        return self.name in ("td", "iql")


class HeadLoss(nn.Module):
    """``forward(HeadBatch)`` -> {"loss", and its parts}, means over heads; ``after_step`` moves slow copies.

    Per-head losses are averaged, not summed as in the papers: AdamW does not see the factor, and the
    learning rate and clipping norm then do not depend on the number of heads.
    """

    def __init__(self, heads: QHeads, settings: ObjectiveSettings) -> None:
        super().__init__()
        self.heads, self.settings = heads, settings
        self.metric: Metric = "classification" if heads.settings.output == "logit" else "regression"
        self.target: QHeads | None = None
        if settings.bootstraps:
            if heads.v is None:
                raise ConfigError(
                    f"objective {settings.name!r} learns V too. Set state_heads (one per Q head)."
                )
            self.target = _slow_copy(heads, settings.compat == "digi_q")

    def forward(self, batch: HeadBatch) -> dict[str, Tensor]:
        """Loss and its parts, scalars."""
        parts: dict[str, Tensor] = {}
        total = torch.zeros((), device=batch.q.device)
        if self.settings.weight:
            losses = self._objective(batch)
            parts["q_loss"], parts["v_loss"] = losses.q.mean(), losses.v.sum() / max(1, len(losses.v))
            total = total + self.settings.weight * (parts["q_loss"] + parts["v_loss"])
        if self.settings.uses_groups and batch.candidates is not None:
            for name, (weight, value) in self._group_parts(batch).items():
                parts[name] = value
                total = total + weight * value
        return {"loss": total, **{name: value.detach() for name, value in parts.items()}}

    def after_step(self) -> None:
        """Move the slow copy towards the online heads."""
        if self.target is not None:
            polyak_update(self.target, self.heads, self.settings.polyak)

    def _objective(self, batch: HeadBatch) -> CriticLosses:
        q = self.heads(batch.q)
        if not self.settings.bootstraps:
            v = q[:0].sum(dim=1)  # (0,) without V heads
            if self.heads.v is not None and batch.states is not None:
                v = self._monte_carlo(self.heads.states(batch.states), batch.returns)
            return CriticLosses(self._monte_carlo(q, batch.returns), v)
        if self.target is None or batch.states is None or batch.next_states is None:
            raise ConfigError(
                f"objective {self.settings.name!r} needs state features of steps and next steps."
            )
        assert batch.rewards is not None
        assert batch.terminated is not None
        v = self.heads.states(batch.states)
        with torch.no_grad():
            # Only what a target needs: Q' of the logged pair, V' of the next state.
            slow_q, slow_v = self.target(batch.q), self.target.states(batch.next_states)
        if self.settings.name == "iql":
            return iql_loss(
                q, v, slow_q, slow_v, batch.rewards, batch.terminated,
                gamma=self.settings.gamma, expectile=self.settings.expectile, metric=self.metric,
            )  # fmt: skip
        return td_loss(
            q, v, slow_q, slow_v, batch.rewards, batch.terminated,
            gamma=self.settings.gamma, metric=self.metric, bootstrap=self.settings.bootstrap,
            compat="digi_q" if self.settings.compat else None,
        )  # fmt: skip

    def _monte_carlo(self, raw: Tensor, returns: Tensor) -> Tensor:
        if self.metric == "classification" and not self.settings.binary:
            # A graded score in [0, 1] read as a probability; the range was checked before training.
            return head_losses(raw, returns, self.metric)
        compat = "digi_q" if self.settings.compat else None
        return monte_carlo_loss(raw, returns, metric=self.metric, binarise=True, compat=compat)

    def _group_parts(self, batch: HeadBatch) -> dict[str, tuple[float, Tensor]]:
        settings = self.settings
        assert batch.candidates is not None
        assert batch.present is not None
        raw = self.heads(batch.candidates)  # (K, G, N)
        parts: dict[str, tuple[float, Tensor]] = {}
        if settings.label_weight and batch.labels is not None:
            parts["label_loss"] = settings.label_weight, self._label_loss(raw, batch.labels)
        if settings.rank_weight and batch.labels is not None:
            parts["rank_loss"] = settings.rank_weight, self._rank_loss(raw, batch.labels)
        if settings.cql_weight and batch.logged is not None:
            parts["cql_loss"] = settings.cql_weight, _penalty(raw, batch.present, batch.logged)
        return parts

    def _label_loss(self, raw: Tensor, labels: Tensor) -> Tensor:
        known = ~labels.isnan()
        if not bool(known.any()):
            return raw.sum() * 0.0
        return head_losses(raw[:, known], labels[known], self.metric).mean()

    def _rank_loss(self, raw: Tensor, labels: Tensor) -> Tensor:
        if self.settings.ranking == "advantage":  # in units of value, so that levels of labels and values fit
            return advantage_loss(self.heads.to_values(raw), labels)
        if self.settings.ranking == "pairwise":
            return pairwise_ranking_loss(raw, labels, weigh_by_gap=True)
        return listwise_ranking_loss(raw, labels, label_temperature=self.settings.temperature)


def _penalty(raw: Tensor, present: Tensor, logged: Tensor) -> Tensor:
    """CQL of states whose logged action is among the candidates: raw (K, G, N) -> scalar."""
    known = logged >= 0
    column = logged.clamp(min=0)
    q_logged = raw.gather(-1, column.expand(len(raw), -1)[..., None]).squeeze(-1)  # (K, G)
    others = present & known[:, None]
    others = others & (torch.arange(raw.shape[-1], device=raw.device) != column[:, None])
    return cql_penalty(raw, q_logged, others)


def _slow_copy(heads: QHeads, unrelated: bool) -> QHeads:
    """A frozen copy; ``unrelated`` starts from other random weights, as the released Digi-Q does."""
    slow = target_copy(heads)
    if unrelated:
        other = replace(heads.settings, seed=heads.settings.seed + 1)
        fresh = QHeads(heads.inputs, other, heads.state_inputs)
        slow.load_state_dict({**heads.state_dict(), **dict(fresh.named_parameters())})
    return slow
