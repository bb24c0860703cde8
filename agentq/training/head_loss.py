"""The losses of value heads as one module: heads, their slow copy, and a batch in, scalars out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor, nn

from agentq.critics.heads import HeadSettings, QHeads
from agentq.errors import ConfigError
from agentq.objectives.chunking import ChunkingLosses, chunking_losses
from agentq.objectives.cql import cql_penalty
from agentq.objectives.iql import iql_loss
from agentq.objectives.monte_carlo import monte_carlo_loss
from agentq.objectives.pointwise import Metric, head_losses
from agentq.objectives.polyak import polyak_update, target_copy
from agentq.objectives.ranking import advantage_loss, listwise_ranking_loss, pairwise_ranking_loss
from agentq.objectives.rover import candidate_td_loss, sarsa_loss
from agentq.objectives.td import CriticLosses, td_loss
from agentq.training.chunk_loss import ChunkCritic, ChunkOptions
from agentq.training.critic_data import HeadBatch
from agentq.training.following import BACKUPS, CandidateBackup

Ranking = Literal["advantage", "pairwise", "listwise"]
_NAMES = ("mc", "td", "iql", "rover", "dqc")


@dataclass(frozen=True, slots=True)
class ObjectiveSettings:
    """What the heads learn: one of five objectives on logged steps, plus terms over candidate groups."""

    name: Literal["mc", "td", "iql", "rover", "dqc"] = "mc"
    weight: float = 1.0  # of the objective on logged steps; 0: the group terms alone
    gamma: float = 0.95  # discount, all but mc; 1 in the papers of rover, 0.999 in those of dqc
    polyak: float = 0.005  # share of the online weights that enters the slow copy each step
    bootstrap: Literal["min", "own"] = "min"  # td, rover: pessimistic over heads, or head i from head i
    backup: CandidateBackup = "mean"  # rover: over the next state's candidates; sarsa: the executed one
    backup_temperature: float = 0.1  # rover, backup softmax; unit: value
    chunk: ChunkOptions = field(default_factory=ChunkOptions)  # dqc
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
        for option, known in (("name", _NAMES), ("backup", BACKUPS)):
            if getattr(self, option) not in known:
                raise ConfigError(
                    f"objective {option}={getattr(self, option)!r}: expected one of {', '.join(known)}."
                )
        if self.compat and self.name in ("rover", "dqc"):
            raise ConfigError(f"compat={self.compat!r} is of mc and td; objective {self.name!r} has none.")
        if not self.backup_temperature > 0:
            raise ConfigError(
                f"backup_temperature={self.backup_temperature}: expected a positive number; its limit 0 is max."
            )
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
        """Whether targets come from V of a later state."""
        return self.name in ("td", "iql", "dqc")

    def with_state_heads(self, head: HeadSettings) -> HeadSettings:
        """``head`` with the V heads that the objective learns, where it has none."""
        if not self.bootstraps or head.state_heads:
            return head
        return replace(head, state_heads=1 if self.name == "dqc" else head.heads)

    def check_heads(self, head: HeadSettings) -> None:
        """Raise ``ConfigError`` for heads that the objective cannot train."""
        if self.name == "rover" and head.state_heads:
            raise ConfigError(
                f"objective 'rover' learns no V, but state_heads={head.state_heads}. Set state_heads=0."
            )
        if self.name == "dqc" and head.output != "logit":
            raise ConfigError(
                f"objective 'dqc' fits probabilities, but output={head.output!r}. Set output='logit' and scale "
                "rewards to [0, 1]."
            )
        if self.name == "dqc" and head.state_heads != 1:
            raise ConfigError(
                f"objective 'dqc' has one V head, but state_heads={head.state_heads}. Set it to 1."
            )
        if self.bootstraps and not head.state_heads:
            raise ConfigError(f"objective {self.name!r} learns V too. Set state_heads (one per Q head).")


class HeadLoss(nn.Module):
    """``forward(HeadBatch)`` -> {"loss", and its parts}, means over heads; ``after_step`` moves slow copies.

    Per-head losses are averaged, not summed as in the papers: AdamW does not see the factor, and the
    learning rate and clipping norm then do not depend on the number of heads.
    """

    def __init__(self, heads: QHeads, settings: ObjectiveSettings) -> None:
        super().__init__()
        settings.check_heads(heads.settings)
        self.heads, self.settings = heads, settings
        self.metric: Metric = "classification" if heads.settings.output == "logit" else "regression"
        self.target: QHeads | None = None
        if settings.bootstraps or settings.name == "rover":
            self.target = _slow_copy(heads, settings.compat == "digi_q")
        # In training alone: candidates are only ever scored by the heads.
        self.chunk: ChunkCritic | None = None
        if settings.name == "dqc" and settings.chunk.target == "chunk":
            self.chunk = ChunkCritic(heads, settings.chunk.h)

    def forward(self, batch: HeadBatch) -> dict[str, Tensor]:
        """Loss and its parts, scalars."""
        parts: dict[str, Tensor] = {}
        total = torch.zeros((), device=batch.q.device)
        if self.settings.weight:
            parts.update(self._step_parts(batch))
            total = total + self.settings.weight * sum(parts.values())
        if self.settings.uses_groups and batch.candidates is not None:
            for name, (weight, value) in self._group_parts(batch).items():
                parts[name] = value
                total = total + weight * value
        return {"loss": total, **{name: value.detach() for name, value in parts.items()}}

    def after_step(self) -> None:
        """Move the slow copy towards the online heads."""
        if self.target is not None:
            polyak_update(self.target, self.heads, self.settings.polyak)

    def _step_parts(self, batch: HeadBatch) -> dict[str, Tensor]:
        """Means over heads whose sum is the objective on logged steps."""
        if self.settings.name == "rover":
            return {"q_loss": self._rover(batch).mean()}
        if self.settings.name == "dqc":
            found = self._chunked(batch)
            parts = {"q_loss": found.action.mean(), "v_loss": found.value}
            return parts if self.chunk is None else {**parts, "chunk_loss": found.chunk.mean()}
        losses = self._objective(batch)
        return {"q_loss": losses.q.mean(), "v_loss": losses.v.sum() / max(1, len(losses.v))}

    def _rover(self, batch: HeadBatch) -> Tensor:
        """TD over the candidates of the next state, (K,)."""
        settings = self.settings
        if batch.next_q is None or batch.next_present is None:
            raise ConfigError("objective 'rover' needs features of the next state's candidates in the batch.")
        assert self.target is not None
        assert batch.rewards is not None
        assert batch.terminated is not None
        with torch.no_grad():
            slow = self.target.eval()(batch.next_q)  # (K, B, N); training mode would add dropout to targets
            if settings.bootstrap == "min":  # of outputs: their order is that of values
                slow = slow.amin(dim=0, keepdim=True).expand_as(slow)
        q = self.heads(batch.q)
        if settings.backup == "sarsa":
            return sarsa_loss(
                q, slow.squeeze(-1), batch.rewards, batch.terminated, gamma=settings.gamma, metric=self.metric
            )
        policy: Tensor | None = None
        if batch.next_log_probs is not None:  # NaN after the end, where no policy is asked
            policy = batch.next_log_probs.masked_fill(~batch.next_present, -torch.inf).softmax(dim=-1)
        return candidate_td_loss(
            q, slow, batch.next_present, batch.rewards, batch.terminated,
            gamma=settings.gamma, backup=settings.backup, temperature=settings.backup_temperature,
            policy=policy, metric=self.metric,
        )  # fmt: skip

    def _chunked(self, batch: HeadBatch) -> ChunkingLosses:
        """Losses over windows of logged steps; V has no slow copy, its current value is held fixed in targets."""
        if batch.states is None or batch.next_states is None or batch.horizons is None:
            raise ConfigError(
                "objective 'dqc' needs windows of logged steps and state features in the batch."
            )
        assert self.target is not None
        assert batch.rewards is not None
        assert batch.terminated is not None
        chunk: Tensor | None = None
        if self.chunk is not None:
            assert batch.chunks is not None
            chunk = self.chunk(batch.chunks, batch.horizons)
        with torch.no_grad():
            slow_q = self.target.eval()(batch.q)
            next_v = self.heads.states(batch.next_states)[0]
        return chunking_losses(
            self.heads(batch.q), self.heads.states(batch.states)[0], slow_q, next_v,
            batch.rewards, 1.0 - batch.terminated.to(batch.rewards), batch.horizons, torch.ones_like(batch.rewards),
            self.settings.chunk.settings(self.settings.gamma), chunk,
        )  # fmt: skip

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
