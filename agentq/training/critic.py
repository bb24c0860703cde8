"""Train value heads offline on cached features."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from agentq.critics.heads import HeadSettings, QHeads
from agentq.errors import ConfigError, TrainingError
from agentq.training.critic_data import CriticData, HeadBatch, Split
from agentq.training.critic_metrics import explained_variance, gap_closed, rank_correlation
from agentq.training.following import backed_up, check_log_probs, closed_windows, needed_arrays
from agentq.training.head_batches import HeadSource
from agentq.training.head_loss import HeadLoss, ObjectiveSettings
from agentq.training.loop import TrainingResult, train
from agentq.training.rows import Rows, as_rows
from agentq.training.settings import TrainingSettings
from agentq.training.sources import IndexArray

_SAMPLE = 65_536  # rows that fix mean and spread of the features
_CHUNK = 8_192  # rows per forward of a validation


@dataclass(frozen=True, slots=True)
class HeadFit:
    """Trained heads, in evaluation mode, and how they were made."""

    heads: QHeads
    training: TrainingResult
    metrics: dict[str, float]  # of the held-out tasks, with the final weights; empty without a split
    objective: dict[str, Any]  # settings, for the checkpoint
    data_hash: str


def fit_heads(
    data: CriticData,
    head: HeadSettings | None = None,
    objective: ObjectiveSettings | None = None,
    training: TrainingSettings | None = None,
    *,
    validation_share: float = 0.1,
    monitor: str = "auto",
    directory: Path | None = None,
) -> HeadFit:
    """Fit Q (and V) heads to the logged steps and candidate groups of ``data``; features stay on disk.

    The validation split holds out whole tasks (0: none). With ``training.evaluate_every`` the heads end with
    the weights of the best validation; ``monitor`` is "explained_variance", "rank_correlation",
    "gap_closed" or "auto" (rank_correlation where candidates are labelled). Raises ``TrainingError`` for
    unusable data, ``FeatureError`` for features that are not finite.
    """
    head, objective = head or HeadSettings(), objective or ObjectiveSettings()
    training = training or TrainingSettings()
    head = objective.with_state_heads(head)
    check_objective(data, head, objective)
    fitting, held = data.split(validation_share, training.seed)
    if not len(fitting.transitions):
        raise TrainingError(
            "there is nothing to train on: 0 rows of transitions. Check the log and its filters."
        )
    fitting = Split(usable_transitions(data, fitting.transitions, objective), fitting.groups)
    heads = new_heads(data, head, fitting, training.seed)
    groups = objective.groups_per_batch if objective.uses_groups else 0
    source = HeadSource(
        data, fitting, training.batch_size, groups, heads.v is not None, training.seed, objective=objective
    )
    # Settings that the loop does not know must match too when a run resumes.
    source.identity += f" {asdict(head)} {asdict(objective)} share={validation_share}"
    validator = HeadValidator(data, held)
    module = HeadLoss(heads, objective)
    if monitor == "auto":
        monitor = "rank_correlation" if validator.labelled else "explained_variance"
    result = train(
        module,
        source,
        training,
        directory,
        evaluate=validator if len(held.transitions) else None,
        monitor=monitor,
        name="critic",
    )
    heads = heads.to("cpu").eval().requires_grad_(False)
    metrics = validator(module) if len(held.transitions) else {}
    return HeadFit(heads, result, metrics, asdict(objective), data.digest)


def new_heads(data: CriticData, head: HeadSettings, part: Split, seed: int) -> QHeads:
    """Fresh heads with the mean and spread of the training features in their buffers."""
    state_dims = None if data.state_features is None else int(data.state_features.shape[1])
    heads = QHeads(int(data.q_features.shape[1]), head, state_dims)
    rows = data.q_rows[part.transitions]
    if data.group_rows is not None and len(part.groups):
        groups = data.group_rows[part.groups]
        rows = np.concatenate([rows, groups[groups >= 0]])
    heads.q.standardise(*feature_moments(as_rows(data.q_features), rows, seed))
    if heads.v is not None and data.state_features is not None and data.state_rows is not None:
        rows = data.state_rows[part.transitions]
        heads.v.standardise(*feature_moments(as_rows(data.state_features), rows, seed))
    return heads


def feature_moments(
    features: Rows, rows: IndexArray, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation (D,) over a sample of ``rows``, in float64."""
    sample = np.unique(rows)
    if len(sample) > _SAMPLE:
        sample = np.sort(np.random.default_rng(seed).choice(sample, _SAMPLE, replace=False))
    total = squares = np.zeros(int(features.shape[1]))
    shift = np.asarray(features[sample[:1]], dtype=np.float64)  # (1, D), against cancellation
    for start in range(0, len(sample), _CHUNK):
        chunk = np.asarray(features[sample[start : start + _CHUNK]], dtype=np.float64) - shift
        total, squares = total + chunk.sum(axis=0), squares + (chunk**2).sum(axis=0)
    mean = total / len(sample)
    return mean + shift[0], np.sqrt(np.maximum(squares / len(sample) - mean**2, 0))


def usable_transitions(data: CriticData, steps: IndexArray, objective: ObjectiveSettings) -> IndexArray:
    """``steps`` without those that TD cannot use: cut by the step limit, their next state unknown."""
    if objective.name == "rover":
        known = backed_up(data, steps, objective.backup)
    elif objective.name == "dqc":
        known = closed_windows(data, steps, objective.chunk.h)
    elif objective.bootstraps:
        assert data.terminated is not None
        assert data.next_state_rows is not None
        known = data.terminated[steps] | (data.next_state_rows[steps] >= 0)
    else:
        return steps
    if not known.any():
        raise TrainingError(
            f"no transition has both a next state and a reward; {objective.name} needs them. Use mc."
        )
    return steps[known]


def check_objective(data: CriticData, head: HeadSettings, objective: ObjectiveSettings) -> None:
    """Raise ``TrainingError`` when ``data`` lacks what the objective needs, ``ConfigError`` on conflicts."""
    objective.check_heads(objective.with_state_heads(head))
    needed: list[str] = []
    if objective.bootstraps:
        needed += ["rewards", "terminated", "state_features", "state_rows", "next_state_rows"]
        needed += ["next_steps"] if objective.name == "dqc" else []
    elif objective.name == "rover":
        needed += ["rewards", "terminated", *needed_arrays(objective.backup)]
    elif head.state_heads and objective.weight:
        needed += ["state_features", "state_rows"]
    if objective.uses_groups:
        needed.append("group_rows")
    if objective.label_weight or objective.rank_weight:
        needed.append("group_labels")
    if objective.cql_weight:
        needed.append("group_logged")
    missing = [name for name in needed if getattr(data, name) is None]
    if missing:
        raise TrainingError(
            f"objective {objective.name!r} with these weights needs {', '.join(missing)} in the data."
        )
    if not objective.weight and not objective.uses_groups:
        raise ConfigError("every weight of the objective is 0, so there is nothing to learn.")
    if objective.name == "rover" and objective.backup == "expected":
        check_log_probs(data)
    if head.output == "logit":
        for name in ("returns", "group_labels", *(("rewards",) if objective.name == "dqc" else ())):
            values = getattr(data, name)
            binary = name == "returns" and (objective.binary or not objective.weight)
            if values is None or binary or not np.size(values):
                continue
            low, high = float(np.nanmin(values)), float(np.nanmax(values))
            if low < 0 or high > 1:
                raise TrainingError(
                    f"{name} reach from {low:g} to {high:g}, but logit heads learn probabilities. Scale "
                    "rewards to [0, 1], set objective.binary (mc), or use output='regression'."
                )


class HeadValidator:
    """Metrics of the heads inside a ``HeadLoss`` on the held-out part."""

    def __init__(self, data: CriticData, held: Split) -> None:
        self.data, self.held = data, held
        self._features = as_rows(data.q_features)
        labels = None if data.group_labels is None else np.asarray(data.group_labels)[held.groups]
        self.labels = labels
        self.labelled = labels is not None and bool((~np.isnan(labels)).sum(axis=1).max(initial=0) > 1)

    def __call__(self, module: nn.Module) -> dict[str, float]:
        """explained_variance of the returns and, with labelled candidates, the metrics within states."""
        assert isinstance(module, HeadLoss)
        returns = np.asarray(self.data.returns)[self.held.transitions]
        q = self._values(module, self.data.q_rows[self.held.transitions])
        metrics = {"explained_variance": explained_variance(q, returns)}
        if self.labelled and self.labels is not None and self.data.group_rows is not None:
            rows = self.data.group_rows[self.held.groups]
            labels = np.where(rows >= 0, self.labels, np.nan)
            q = self._values(module, np.maximum(rows, 0).reshape(-1)).reshape(rows.shape)
            known = ~np.isnan(labels)
            metrics["label_explained_variance"] = explained_variance(q[known], labels[known])
            metrics["rank_correlation"] = rank_correlation(q, labels)
            metrics["gap_closed"] = gap_closed(q, labels)
        return metrics

    def _values(self, module: HeadLoss, rows: IndexArray) -> NDArray[np.float64]:
        """Mean over heads, (rows,)."""
        device = next(module.heads.parameters()).device
        was_training = module.training
        module.eval()
        pieces = [np.zeros(0)]
        with torch.no_grad():
            for start in range(0, len(rows), _CHUNK):
                features = np.asarray(self._features[rows[start : start + _CHUNK]])
                tensor = torch.from_numpy(np.ascontiguousarray(features)).float().to(device)
                pieces.append(module.heads.q_values(tensor).mean(dim=0).double().cpu().numpy())
        module.train(was_training)
        return np.concatenate(pieces)


__all__ = ["CriticData", "HeadBatch", "HeadFit", "HeadValidator", "fit_heads"]
