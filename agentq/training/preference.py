"""Train a preference critic from pairs with trl: step-level DPO on a LoRA adapter, the reference precomputed.

Source of the method: "Enhancing Decision-Making for LLM Agents via Step-Level Q-Value Models" (arXiv 2409.09345).
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agentq.backbones.config import BackboneConfig, LoraSettings
from agentq.critics.groundings import grounded_text, resolve_grounding
from agentq.errors import ConfigError, MissingExtraError, TrainingError
from agentq.training.pair_lengths import check_nothing_lost, length_groups, needed_length, pair_lengths

if TYPE_CHECKING:
    from agentq.critics.preference import PreferenceCritic

#: what transformers calls each schedule
SCHEDULES = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}


@dataclass(frozen=True, slots=True)
class PreferenceTraining:
    """How long and how fast the adapter learns."""

    beta: float = 0.1
    epochs: float = 1.0
    learning_rate: float = 1e-4
    batch_size: int = 8  # pairs per device and forward
    accumulate: int = 1  # forwards per step
    warmup: float = 0.1  # share of the steps
    schedule: Literal["constant", "linear", "cosine"] = "constant"  # after warmup: stays, or falls to 0
    weight_decay: float = 0.0
    max_length: int = (
        0  # tokens; 0: what the longest pair needs. A pair that does not fit is an error, never cut
    )
    group_by_length: bool = True  # pairs of one length share a batch, the same ones in every epoch
    activation_checkpointing: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise ConfigError(f"schedule={self.schedule!r}: expected one of {', '.join(SCHEDULES)}.")


@dataclass(frozen=True, slots=True)
class PreferenceFit:
    """A trained critic and how its training went."""

    critic: PreferenceCritic
    metrics: dict[str, float]  # of the last log line: loss, rewards/accuracies, rewards/margins, ...


def fit_preference(
    pairs: Any,
    backbone: BackboneConfig,
    settings: PreferenceTraining | None = None,
    lora: LoraSettings | None = None,
    *,
    grounding: str = "",
    directory: str | Path,
    data_hash: str = "",
) -> PreferenceFit:
    """DPO (sigmoid) on ``pairs``, a ``datasets.Dataset`` with prompt, chosen and rejected as message lists.

    Reference log-probabilities are computed once, by the base model without adapter, and kept under its hash. With a
    ``grounding`` what an action refers to is a part of its reply, in training as in use.
    Raises ``MissingExtraError`` without trl, ``TrainingError`` when trl would cut or drop a pair, without pairs, or
    with a grounding where the pairs do not say their actions.
    """
    if find_spec("trl") is None:
        raise MissingExtraError(
            'preference training needs trl, which is not installed. Run: pip install "agentq[train]"'
        )
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    from agentq.backbones.loading import load_backbone

    settings, lora = settings or PreferenceTraining(), lora or LoraSettings()
    base = load_backbone(replace(backbone, lora=None))
    reference_hash = base.fingerprint
    rows = grounded_pairs(pairs, grounding)
    lengths = pair_lengths(rows, base)
    limit = needed_length(lengths, base, settings.max_length)
    if settings.group_by_length:
        rows = rows.select(length_groups(lengths, settings.batch_size, settings.seed))
    on_accelerator = base.device.type != "cpu"
    model: Any = base.model
    trainer = DPOTrainer(
        model=model,
        processing_class=base.tokenizer,
        train_dataset=rows,
        peft_config=_peft_config(lora),
        args=DPOConfig(
            output_dir=str(directory), loss_type=["sigmoid"], beta=settings.beta, max_length=limit,
            precompute_ref_log_probs=True, num_train_epochs=settings.epochs,
            learning_rate=settings.learning_rate, per_device_train_batch_size=settings.batch_size,
            gradient_accumulation_steps=settings.accumulate, warmup_steps=settings.warmup,
            weight_decay=settings.weight_decay, lr_scheduler_type=SCHEDULES[settings.schedule],
            gradient_checkpointing=settings.activation_checkpointing, seed=settings.seed,
            train_sampling_strategy="sequential" if settings.group_by_length else "random",
            bf16=on_accelerator and backbone.dtype == "bfloat16", use_cpu=not on_accelerator,
            report_to="none", save_strategy="no", logging_steps=10, disable_tqdm=True,
        ),
    )  # fmt: skip
    check_nothing_lost(trainer.train_dataset, len(rows), limit)
    trainer.train()
    critic = _trained_critic(trainer, backbone, settings, lora, grounding, reference_hash, data_hash)
    return PreferenceFit(critic, last_metrics(trainer.state.log_history))


def grounded_pairs(pairs: Any, grounding: str) -> Any:
    """The columns that trl reads, each reply with what its action refers to behind it; one without an action as it is.

    Raises ``TrainingError`` where the pairs have no columns ``chosen_action`` and ``rejected_action``.
    """
    rows = pairs.select_columns(["prompt", "chosen", "rejected"])
    function = resolve_grounding(grounding)
    if function is None:
        return rows
    if missing := sorted({"chosen_action", "rejected_action"} - set(pairs.column_names)):
        raise TrainingError(
            f"grounding {grounding!r} reads actions, and the pairs have no {', '.join(missing)}. Write them again with "
            "write_pairs or write_logged_pairs, or leave the grounding out."
        )

    def with_text(row: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in ("chosen", "rejected"):
            *before, last = row[name]
            action, text = row[f"{name}_action"], last["content"]
            if action is not None:
                text = grounded_text(tuple(row["prompt"]), action, function, text)
            found[name] = [*before, {**last, "content": text}]
        return found

    return pairs.map(with_text, load_from_cache_file=False).select_columns(rows.column_names)


def last_metrics(history: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The newest value of every number that the trainer logged."""
    found: dict[str, float] = {}
    for line in history:
        found.update({name: float(value) for name, value in line.items() if isinstance(value, int | float)})
    return found


def _trained_critic(
    trainer: Any,
    backbone: BackboneConfig,
    settings: PreferenceTraining,
    lora: LoraSettings,
    grounding: str,
    reference_hash: str,
    data_hash: str,
) -> PreferenceCritic:
    """The critic on a freshly loaded base: trl leaves its model patched, and casts some layers of a quantised one."""
    from agentq.backbones.loading import load_backbone
    from agentq.critics.checkpoint import with_adapter
    from agentq.critics.preference import PreferenceConfig, PreferenceCritic

    with tempfile.TemporaryDirectory() as scratch:
        trainer.accelerator.unwrap_model(trainer.model).save_pretrained(scratch, safe_serialization=True)
        fresh = load_backbone(replace(backbone, lora=None))
        if fresh.fingerprint != reference_hash:
            raise TrainingError(
                f"the base model {backbone.name!r} changed while its adapter was trained ({reference_hash} before, "
                f"{fresh.fingerprint} now), so the adapter fits neither. Train again."
            )
        adapted = with_adapter(fresh, Path(scratch), copied=False)
    record = {
        "objective": {"name": "dpo", "loss": "sigmoid", **asdict(settings)},
        "lora": asdict(lora),
        "data_hash": data_hash,
        "reference_fingerprint": reference_hash,
        "metrics": last_metrics(trainer.state.log_history),
    }
    config = PreferenceConfig(beta=settings.beta, grounding=grounding, training=record)
    return PreferenceCritic(adapted, config=config)


def _peft_config(lora: LoraSettings) -> Any:
    from peft import LoraConfig

    targets: str | list[str] = lora.target_modules
    if targets != "all-linear":
        targets = [part.strip() for part in lora.target_modules.split(",") if part.strip()]
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )
