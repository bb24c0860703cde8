"""DPO through trl: nothing is cut or dropped, the reference is the base model, the adapter learns the preference."""

from __future__ import annotations

from math import cos, pi
from pathlib import Path
from typing import Any

import pytest
import torch

from agentq.backbones import BackboneConfig, LoraSettings, load_backbone
from agentq.critics.loading import load_critic
from agentq.critics.preference import PreferenceCritic
from agentq.errors import ConfigError, TrainingError
from agentq.objectives.dpo import PairLogprobs, dpo_losses
from agentq.scoring.replies import reply_logprobs
from agentq.training.pair_lengths import length_groups, pair_lengths
from agentq.training.preference import (
    PreferenceTraining,
    fit_preference,
    grounded_pairs,
)
from agentq.types import Candidate

datasets = pytest.importorskip("datasets")


def pairs(count: int = 12) -> Any:
    """In every state the second of two products is better."""
    rows = [
        {
            "prompt": [{"role": "user", "content": f"Goal: a mug number {i}\nPage: results 1, 2 found"}],
            "chosen": [{"role": "assistant", "content": "click[second]"}],
            "rejected": [{"role": "assistant", "content": "click[first]"}],
        }
        for i in range(count)
    ]
    return datasets.Dataset.from_list(rows)


@pytest.mark.slow
def test_the_critic_prefers_what_it_was_taught(tmp_path: Path) -> None:
    settings = PreferenceTraining(beta=0.5, epochs=4, learning_rate=3e-3, batch_size=6, warmup=0.0)
    base = BackboneConfig(device="cpu")
    fit = fit_preference(
        pairs(), base, settings, LoraSettings(r=4), directory=tmp_path / "training", data_hash="d" * 64
    )
    folder = fit.critic.save_pretrained(tmp_path / "critic")
    critic = load_critic(folder, device="cpu")
    assert isinstance(critic, PreferenceCritic)
    unseen = [{"role": "user", "content": "Goal: a mug number 77\nPage: results 1, 2 found"}]
    ((first, second),) = critic.score(
        [(unseen, [Candidate("click[first]", "click[first]"), Candidate("click[second]", "click[second]")])]
    )
    assert second - first > 0.2
    record = critic.config.training
    assert record["data_hash"] == "d" * 64
    assert record["reference_fingerprint"] == load_backbone(base).fingerprint == critic.backbone.fingerprint


@pytest.mark.slow
@pytest.mark.parametrize(
    ("schedule", "last"), [("constant", 1.0), ("linear", 0.25), ("cosine", 0.5 + 0.5 * cos(0.75 * pi))]
)
def test_the_learning_rate_stays_or_falls(schedule: Any, last: float, tmp_path: Path) -> None:
    settings = PreferenceTraining(batch_size=1, epochs=1, learning_rate=1e-3, warmup=0.0, schedule=schedule)
    fit = fit_preference(
        pairs(12), BackboneConfig(device="cpu"), settings, LoraSettings(r=4), directory=tmp_path
    )
    assert fit.critic.config.training["objective"]["schedule"] == schedule
    # trl logs step 10 of 12, before which 9 of 12 parts are over
    assert fit.metrics["learning_rate"] == pytest.approx(1e-3 * last, rel=1e-3)


def test_an_unknown_schedule_is_refused() -> None:
    with pytest.raises(ConfigError, match="'square'"):
        PreferenceTraining(schedule="square")  # type: ignore[arg-type]


QUOTED = "agentq.features.grounding:quoted_line"


def page(number: int) -> list[dict[str, str]]:
    """Two products of which one is red, now the first and now the second; their buttons do not say which."""
    colours = ("red", "green") if number % 3 else ("green", "red")
    lines = [f"[b{number}{i}] {colour} mug" for i, colour in enumerate(colours)]
    return [{"role": "user", "content": "\n".join(["Goal: a mug", *lines])}]


def red_and_green(number: int) -> tuple[str, str]:
    red = 0 if number % 3 else 1
    return f"click[b{number}{red}]", f"click[b{number}{1 - red}]"


def coloured(count: int) -> Any:
    rows = []
    for number in range(count):
        red, green = red_and_green(number)
        rows.append(
            {
                "prompt": page(number),
                "chosen": [{"role": "assistant", "content": f"I take {red}"}],
                "rejected": [{"role": "assistant", "content": green}],
                "chosen_action": red,
                "rejected_action": green if number else None,
            }
        )
    return datasets.Dataset.from_list(rows)


def test_what_an_action_refers_to_stands_behind_its_reply() -> None:
    rows = grounded_pairs(coloured(2), QUOTED)
    assert rows.column_names == ["prompt", "chosen", "rejected"]
    assert rows[1]["chosen"] == [{"role": "assistant", "content": "I take click[b10]\n[b10] red mug"}]
    assert rows[1]["rejected"][0]["content"] == "click[b11]\n[b11] green mug"
    assert rows[0]["rejected"][0]["content"] == "click[b00]"  # a reply in which no action was found
    assert rows["prompt"] == coloured(2)["prompt"]
    assert grounded_pairs(coloured(2), "")[:] == coloured(2).select_columns(rows.column_names)[:]
    with pytest.raises(TrainingError, match="no chosen_action, rejected_action"):
        grounded_pairs(pairs(2), QUOTED)


@pytest.mark.slow
def test_a_grounding_tells_what_an_action_is_about(tmp_path: Path) -> None:
    settings = PreferenceTraining(beta=0.5, epochs=4, learning_rate=3e-3, batch_size=6, warmup=0.0)
    fit = fit_preference(
        coloured(24).select(range(1, 24)), BackboneConfig(device="cpu"), settings, LoraSettings(r=4),
        grounding=QUOTED, directory=tmp_path / "training",
    )  # fmt: skip
    critic = load_critic(fit.critic.save_pretrained(tmp_path / "critic"), device="cpu")
    assert isinstance(critic, PreferenceCritic)
    assert critic.config.grounding == QUOTED
    unseen = [(page(n), [Candidate(action, action) for action in red_and_green(n)]) for n in range(90, 99)]
    assert all(red > green for red, green in critic.score(unseen))


@pytest.mark.slow
def test_trl_and_the_critic_compute_the_same_log_probabilities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """trl's precomputed reference, its first loss and rewards against our own forward over the same replies."""
    from trl.trainer.dpo_trainer import DPOTrainer

    seen: list[DPOTrainer] = []
    train = DPOTrainer.train
    monkeypatch.setattr(
        DPOTrainer, "train", lambda self, *a, **k: (seen.append(self), train(self, *a, **k))[1]
    )
    rows = pairs(6)
    fit_preference(
        rows, BackboneConfig(device="cpu"), PreferenceTraining(batch_size=6, epochs=1), LoraSettings(r=4),
        directory=tmp_path,
    )  # fmt: skip
    backbone = load_backbone(BackboneConfig(device="cpu"))
    prompts = [backbone.prompt_ids(row["prompt"]) for row in rows]
    replies = [
        [backbone.action_ids(row[name][0]["content"]) for name in ("chosen", "rejected")] for row in rows
    ]
    with torch.no_grad():
        scored = torch.stack([found.sum(dim=1) for found in reply_logprobs(backbone, prompts, replies)])
    ours = scored[length_groups(pair_lengths(rows, backbone), 6, seed=0)]
    data: Any = seen[0].train_dataset
    theirs = torch.tensor([[row["ref_chosen_logps"], row["ref_rejected_logps"]] for row in data])
    torch.testing.assert_close(theirs, ours, atol=1e-3, rtol=1e-4)
    same = PairLogprobs(ours[:, 0], ours[:, 1], ours[:, 0], ours[:, 1])
    logged = seen[0].state.log_history
    loss = next(line["train_loss"] for line in logged if "train_loss" in line)
    assert loss == pytest.approx(
        dpo_losses(same, beta=0.1).mean().item(), abs=1e-3
    )  # log 2: nothing is learnt yet


@pytest.mark.slow
@pytest.mark.parametrize("grouped", [True, False])
def test_pairs_of_one_length_share_a_batch(
    grouped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trl.trainer.dpo_trainer import DPOTrainer

    widths: list[int] = []
    loss = DPOTrainer.compute_loss

    def spied(self: DPOTrainer, model: Any, inputs: dict[str, Any], *args: Any, **more: Any) -> Any:
        widths.append(inputs["input_ids"].shape[1])
        return loss(self, model, inputs, *args, **more)

    monkeypatch.setattr(DPOTrainer, "compute_loss", spied)
    long = [{"role": "user", "content": "Goal: a mug\n" + "Page: results 1, 2 found\n" * 12}]
    rows = pairs(32).map(lambda row, i: {"prompt": long if i % 2 else row["prompt"]}, with_indices=True)
    settings = PreferenceTraining(batch_size=4, group_by_length=grouped)
    fit_preference(rows, BackboneConfig(device="cpu"), settings, LoraSettings(r=4), directory=tmp_path)
    assert len(widths) == 8
    short = sum(width < max(widths) / 2 for width in widths)
    assert short == 4 if grouped else short < 4
