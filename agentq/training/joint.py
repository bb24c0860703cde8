"""Train heads and backbone together: features are computed with gradients, through LoRA or all weights."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from agentq.backbones.backbone import Backbone
from agentq.critics.heads import HeadSettings, QHeads
from agentq.critics.q_head import QCritic, QCriticConfig
from agentq.errors import ConfigError, TrainingError
from agentq.features.proposal import proposal_width
from agentq.training.critic_data import HeadBatch, held_out
from agentq.training.critic_metrics import explained_variance, gap_closed, rank_correlation
from agentq.training.head_loss import HeadLoss, ObjectiveSettings
from agentq.training.loop import TrainingResult, train
from agentq.training.settings import TrainingSettings
from agentq.training.token_batches import TokenBudgetSource

_MOMENT_EXAMPLES = 256  # states whose features fix mean and spread at the start


@dataclass(frozen=True, slots=True)
class JointExample:
    """One logged state as token ids: its candidates, which of them was taken, and what came of it."""

    prompt: tuple[int, ...]
    candidates: tuple[tuple[int, ...], ...]  # N distinct actions, each with its end-of-turn token
    logged: int  # which candidate was taken
    returns: float  # discounted return from here on
    proposals: tuple[tuple[float, ...], ...] = ()  # (N, P) how each was proposed; P = 0 where heads read none
    labels: tuple[float, ...] = ()  # (N,) of snapshot continuations, NaN: not labelled; empty: none
    reward: float = 0.0
    terminated: bool = False
    next_prompt: tuple[int, ...] = ()  # empty: unknown, or after the end
    task: str = ""  # validation holds out whole tasks

    @property
    def length(self) -> int:
        """Tokens that are read for it."""
        return len(self.prompt) + sum(map(len, self.candidates)) + len(self.next_prompt)


@dataclass(frozen=True, slots=True)
class JointSettings:
    """How the backbone takes part."""

    backbone_rate: float = 0.1  # learning rate of the backbone as a share of that of the heads
    full: bool = False  # train all weights of the backbone; else its adapters alone
    token_budget: int = 4096  # tokens of a micro-batch, padding included


@dataclass(frozen=True, slots=True)
class JointFit:
    """A critic whose backbone was trained with it; ``save_backbone=True`` saves one trained in full."""

    critic: QCritic
    training: TrainingResult
    metrics: dict[str, float]  # of the validation examples


def fit_joint(
    backbone: Backbone,
    examples: Sequence[JointExample],
    config: QCriticConfig | None = None,
    head: HeadSettings | None = None,
    objective: ObjectiveSettings | None = None,
    training: TrainingSettings | None = None,
    joint: JointSettings | None = None,
    *,
    validation: Sequence[JointExample] = (),
    validation_share: float = 0.0,
    monitor: str = "auto",
    directory: Path | None = None,
) -> JointFit:
    """Train heads on a causal ``backbone`` together with its adapters or all its weights.

    The same objectives as ``fit_heads``; candidates of a state are the group of its ranking terms, and
    the slow copy is one of the heads alone (features of targets come from the current backbone).
    ``validation_share`` holds out that share of the tasks where no ``validation`` examples are given.
    Raises ``TrainingError`` for unusable examples or a backbone with nothing to train.
    """
    config, head, objective = (
        config or QCriticConfig(),
        head or HeadSettings(),
        objective or ObjectiveSettings(),
    )
    training, joint = training or TrainingSettings(), joint or JointSettings()
    _check_objective(objective)
    head = objective.with_state_heads(head)
    if joint.full:
        backbone.model.requires_grad_(True)
    if not any(p.requires_grad for p in backbone.model.parameters()):
        raise TrainingError(
            f"backbone {backbone.config.name!r} is frozen. Load it with LoRA settings, set full=True, or use "
            "fit_heads."
        )
    if validation_share and not validation:
        examples, validation = by_task(examples, validation_share, training.seed)
    examples = usable_examples(examples, objective, proposal_width(config.proposal))
    width = backbone.hidden_size * len(config.layers)
    loss = HeadLoss(QHeads(width + proposal_width(config.proposal), head, width), objective)
    module = JointLoss(backbone, loss, config, joint.backbone_rate)
    module.standardise(examples[:_MOMENT_EXAMPLES])
    source = TokenBudgetSource(
        lengths=[example.length for example in examples],
        budget=joint.token_budget,
        seed=training.seed,
        make=lambda indices: tuple(examples[i] for i in indices),
        weigh=lambda batch: float(len(batch)),
        identity=f"{examples_digest(examples)} {asdict(head)} {asdict(objective)} {asdict(joint)} {config}",
    )
    validator = JointValidator(validation)
    if monitor == "auto":
        monitor = "rank_correlation" if validator.labelled else "explained_variance"
    result = train(
        module,
        source,
        training,
        directory,
        evaluate=validator if validation else None,
        monitor=monitor,
        name="joint",
    )
    metrics = validator(module) if validation else {}
    record = {"objective": asdict(objective), "joint": asdict(joint), "data_hash": examples_digest(examples)}
    critic = QCritic(backbone, loss.heads, replace(config, training={**config.training, **record}))
    return JointFit(critic, result, metrics)


def _check_objective(objective: ObjectiveSettings) -> None:
    if objective.name in ("rover", "dqc"):
        raise ConfigError(
            f"objective {objective.name!r} reads frozen features of several steps at once. Use fit_heads (no "
            "adapters), or td."
        )


def by_task(
    examples: Sequence[JointExample], share: float, seed: int
) -> tuple[list[JointExample], list[JointExample]]:
    """Training and validation examples; a task is in one of them only, as in ``CriticData.split``.

    Raises ``TrainingError`` when a part would be empty.
    """
    held = held_out([example.task for example in examples], share, seed)
    parts: tuple[list[JointExample], list[JointExample]] = ([], [])
    for example, aside in zip(examples, held, strict=True):
        parts[int(aside)].append(example)
    if not all(parts):
        raise TrainingError(
            f"validation_share={share} of {len({example.task for example in examples})} tasks leaves a part "
            "empty. Collect more tasks or change the share."
        )
    return parts


class JointLoss(nn.Module):
    """``forward(examples)`` -> {"loss", ...}: hidden states with gradients, then the losses of the heads."""

    frozen_prefixes = ("model.",)

    def __init__(
        self, backbone: Backbone, loss: HeadLoss, config: QCriticConfig, backbone_rate: float
    ) -> None:
        super().__init__()
        self.model = backbone.model  # registered, so that launchers see its parameters
        self.loss = loss
        self.backbone, self.config = backbone, config
        self.rate_scales = {"model.": backbone_rate}
        loss.to(backbone.device)

    def forward(self, examples: Sequence[JointExample]) -> dict[str, Tensor]:
        """Loss and its parts, scalars."""
        return self.loss(self.batch(examples))

    def batch(self, examples: Sequence[JointExample]) -> HeadBatch:
        """Features and targets of the examples, as the heads' loss takes them."""
        pairs = self.features(examples)
        found = [pair[0] for pair in pairs]
        states = torch.stack([pair[1] for pair in pairs])  # (B, D)
        device = states.device
        most = max(len(f) for f in found)
        logged = torch.tensor([e.logged for e in examples], device=device)
        present = torch.tensor([[j < len(f) for j in range(most)] for f in found], device=device)
        labels = [
            [*(e.labels or [math.nan] * len(f)), *[math.nan] * (most - len(f))]
            for e, f in zip(examples, found, strict=True)
        ]
        groups = (
            nn.utils.rnn.pad_sequence(found, batch_first=True) if self.loss.settings.uses_groups else None
        )
        following = self._next_states(examples) if self.loss.settings.bootstraps else None
        return HeadBatch(
            q=torch.stack([f[e.logged] for e, f in zip(examples, found, strict=True)]),
            returns=torch.tensor([e.returns for e in examples], device=device),
            rewards=torch.tensor([e.reward for e in examples], device=device),
            terminated=torch.tensor([float(e.terminated) for e in examples], device=device),
            states=states,
            next_states=following,
            candidates=groups,
            present=present,
            labels=torch.tensor(labels, device=device),
            logged=logged,
        )

    def features(self, examples: Sequence[JointExample]) -> list[tuple[Tensor, Tensor]]:
        """Per state: features of its candidates (N, D + P), and of the state alone (D,)."""
        from agentq.features.pooling import pool
        from agentq.scoring.shared_prefix import score_features

        def both(hidden: Tensor, mask: Tensor) -> Tensor:  # column 0 is the prompt's last token
            return torch.stack([pool(hidden, mask, self.config.pooling), hidden[:, 0]], dim=1).flatten(1)

        joined = score_features(
            self.backbone,
            [e.prompt for e in examples],
            [e.candidates for e in examples],
            self.config.layers,
            both,
            max_batch_tokens=1 << 62,  # the micro-batch is one pass
        )
        size, parts = self.backbone.hidden_size, len(self.config.layers)
        split = [f.float().reshape(len(f), parts, 2, size) for f in joined]
        return [
            (_with_proposals(f[:, :, 0].flatten(1), example), f[0, :, 1].flatten())
            for f, example in zip(split, examples, strict=True)
        ]

    def _next_states(self, examples: Sequence[JointExample]) -> Tensor:
        """(B, D) without gradients, zeros after the end."""
        known = [number for number, e in enumerate(examples) if e.next_prompt]
        width = self.backbone.hidden_size * len(self.config.layers)
        states = torch.zeros((len(examples), width), device=self.backbone.device)
        if known:
            end = (self.backbone.end_id,)  # any token: what is read stands before it
            asked = [
                replace(examples[n], prompt=examples[n].next_prompt, candidates=(end,), proposals=())
                for n in known
            ]
            with torch.no_grad():
                states[known] = torch.stack([state for _, state in self.features(asked)])
        return states

    def standardise(self, examples: Sequence[JointExample]) -> None:
        """Mean and spread of the features before training, into the heads and their slow copy."""
        self.eval()
        with torch.no_grad():
            pairs = [pair for example in examples for pair in self.features([example])]
        q = torch.cat([pair[0] for pair in pairs]).double().cpu().numpy()
        states = torch.stack([pair[1] for pair in pairs]).double().cpu().numpy()
        for heads in (self.loss.heads, self.loss.target):
            if heads is not None:
                heads.q.standardise(q.mean(axis=0), q.std(axis=0))
                if heads.v is not None:
                    heads.v.standardise(states.mean(axis=0), states.std(axis=0))


class JointValidator:
    """Metrics of a ``JointLoss`` on held-out examples."""

    def __init__(self, examples: Sequence[JointExample]) -> None:
        self.examples = examples
        self.labelled = any(sum(not math.isnan(y) for y in e.labels) > 1 for e in examples)

    def __call__(self, module: nn.Module) -> dict[str, float]:
        """explained_variance of the returns and, with labelled candidates, the order within states."""
        assert isinstance(module, JointLoss)
        module.eval()
        most = max(len(e.candidates) for e in self.examples)
        q = np.full((len(self.examples), most), -np.inf)
        labels = np.full(q.shape, np.nan)
        with torch.no_grad():
            for row, example in enumerate(self.examples):
                features = module.features([example])[0][0]
                q[row, : len(features)] = module.loss.heads.q_values(features).mean(dim=0).cpu().numpy()
                labels[row, : len(example.labels)] = example.labels
        taken: NDArray[np.float64] = q[np.arange(len(q)), [e.logged for e in self.examples]]
        metrics = {
            "explained_variance": explained_variance(taken, np.array([e.returns for e in self.examples]))
        }
        if self.labelled:
            known = np.where(np.isnan(labels), 0.0, q)
            metrics["rank_correlation"] = rank_correlation(known, labels)
            metrics["gap_closed"] = gap_closed(q, labels)
        return metrics


def usable_examples(
    examples: Sequence[JointExample], objective: ObjectiveSettings, proposal_columns: int = 0
) -> list[JointExample]:
    """Check every example; td and iql leave out steps cut by the step limit. Raises ``TrainingError``."""
    for number, example in enumerate(examples):
        count = len(example.candidates)
        if not example.prompt or not 0 <= example.logged < count or len(example.labels) not in (0, count):
            raise TrainingError(
                f"example {number}: {len(example.prompt)} prompt tokens, {count} candidates, logged "
                f"{example.logged}, {len(example.labels)} labels. Expected a prompt, the logged action among "
                "the candidates, and one label per candidate or none."
            )
        columns = [len(row) for row in example.proposals]
        if (columns or [0] * count) != [proposal_columns] * count:
            raise TrainingError(
                f"example {number}: proposals of widths {columns} for {count} candidates, expected "
                f"{proposal_columns} columns each. Make the examples with the critic's own `proposal`."
            )
        if not math.isfinite(example.returns + example.reward):
            raise TrainingError(
                f"example {number}: return {example.returns}, reward {example.reward} are not finite."
            )
    kept = [e for e in examples if not objective.bootstraps or e.terminated or e.next_prompt]
    if not kept:
        raise TrainingError(f"there is nothing to train on: 0 of {len(examples)} examples are usable.")
    return kept


def _with_proposals(features: Tensor, example: JointExample) -> Tensor:
    """(N, D) -> (N, D + P)."""
    if not example.proposals:
        return features
    columns = torch.tensor(example.proposals, dtype=features.dtype, device=features.device)
    return torch.cat([features, columns.reshape(len(features), -1)], dim=1)


def examples_digest(examples: Sequence[JointExample]) -> str:
    """SHA-256 over all examples."""
    digest = hashlib.sha256()
    for example in examples:
        values: dict[str, Any] = asdict(example)
        digest.update(repr(sorted(values.items())).encode())
    return digest.hexdigest()
